"""New connections one after the other, as a program: who answered how many of them, as JSON.

`python -m tests.real.visits ADDRESS PORT COUNT PATH`
"""

from __future__ import annotations

import http.client
import json
import sys
from collections import Counter

#: One connection, until its answer; time for a lost packet to be sent again.
TIMEOUT_S = 3.0
#: How a connection is told that nobody answered.
FAILED = "failed: "


def visit(address: str, port: int, path: str) -> str:
    """What was answered, or `failed: ` and why."""
    connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read().decode().strip() if answer.status == 200 else f"status {answer.status}"
    except (OSError, http.client.HTTPException) as error:
        return f"{FAILED}{type(error).__name__}"
    finally:
        connection.close()


def main() -> None:
    address, port, count, path = sys.argv[1:]
    heard = Counter(visit(address, int(port), path) for _ in range(int(count)))
    print(json.dumps(heard))


if __name__ == "__main__":
    main()
