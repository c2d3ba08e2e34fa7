"""Compose files that the real tests deploy, of the demo image."""

from __future__ import annotations

#: Lines of a service that does nothing, and stops at once.
SLEEP = """\
image: bayplan/demo:1
    command: [sleep, infinity]
    init: true"""

#: web 4, api 3 and visitor 1.
SHOP_TASKS = 8
SHOP = """\
services:
  web:
    image: bayplan/demo:1
    command: [serve, web]
    init: true
    ports: ["80"]
    deploy: {replicas: 4}
  api:
    image: bayplan/demo:1
    command: [serve, api]
    init: true
    ports: ["80"]
    healthcheck:
      test: [CMD, call, 127.0.0.1]
      interval: 1s
    deploy: {replicas: 3}
  visitor:
    image: bayplan/demo:1
    command: [sleep, infinity]
    init: true
"""


def sleepers(replicas: int) -> str:
    """A service that does nothing, and stops at once."""
    return f"""\
services:
  sleeper:
    image: bayplan/demo:1
    command: [sleep, infinity]
    init: true
    deploy: {{replicas: {replicas}}}
"""


def publishing(port: int, replicas: int) -> str:
    """A web service with a fixed port on its tasks' nodes, which is each node's own."""
    return f"""\
services:
  web:
    image: bayplan/demo:1
    command: [serve, web]
    init: true
    ports: [{{target: 80, published: "{port}", mode: host}}]
    deploy: {{replicas: {replicas}}}
"""


def demanding(cpus: int) -> str:
    """A service that reserves that many CPUs."""
    return f"""\
services:
  web:
    image: bayplan/demo:1
    command: [sleep, infinity]
    deploy:
      resources: {{reservations: {{cpus: "{cpus}"}}}}
"""
