"""Prints what py-consul sees of a service at each change; in its own environment.

Arguments: the lines' tag, port, service.
"""

import json
import sys

import consul

tag, port, service = sys.argv[1:]
client = consul.Consul(host="127.0.0.1", port=int(port))
index = None
while True:
    index, found = client.health.service(service, passing=True, index=index, wait="5s")
    line = json.dumps({"tag": tag, "seen": [each["Service"]["ID"] for each in found]})
    sys.stdout.write(f"{line}\n")  # in one piece: several programs share a log
    sys.stdout.flush()
