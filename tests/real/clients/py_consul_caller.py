"""Calls py-consul as each line of its input says, and answers with a line; in its own environment."""

import json
import sys

import consul

client = consul.Consul(host="127.0.0.1", port=int(sys.argv[1]))
for line in sys.stdin:
    asked = json.loads(line)
    method = client
    for name in asked["call"].split("."):
        method = getattr(method, name)
    if "ttl" in asked:
        asked["named"]["check"] = consul.Check.ttl(asked["ttl"])
    try:
        answer = {"got": method(*asked["given"], **asked["named"])}
    except consul.ConsulException as error:
        answer = {"failed": type(error).__name__, "text": str(error)}
    print(json.dumps(answer), flush=True)
