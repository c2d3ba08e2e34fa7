"""What names and numbers a stack may have: one place for the loader, the command line and the controller."""

from __future__ import annotations

import re

#: Longest name of a stack or service: a DNS label has as many characters (RFC 1035, 2.3.4).
NAME_CHARS_MAX = 63
#: Services in one stack.
SERVICES_MAX = 1_000
#: Replicas of one service.
REPLICAS_MAX = 10_000
#: Placement constraints of one service.
CONSTRAINTS_MAX = 50
#: Attributes over which one service is spread.
PREFERENCES_MAX = 10
#: Services near to which, or away from which, one service wants to be.
AFFINITIES_MAX = 20
#: Highest priority of a service; the lowest is 0.
PRIORITY_MAX = 100
#: Most processes that a task may set aside: what Linux has at most (proc(5), pid_max).
PIDS_MAX = 4_194_304
#: Highest port of TCP and UDP.
PORT_MAX = 65_535
#: Weight of an instance among the others of its service; tags of a service, and characters of one.
WEIGHT_MAX = 65_535
TAGS_MAX, TAG_CHARS_MAX = 64, 512
#: Labels that the registry reads: what begins so is a tag, NAME=VALUE (NAME alone without a value), and the
#: other one is the weight of each instance.
TAG_LABEL_PREFIX, WEIGHT_LABEL = "bayplan.tag.", "bayplan.weight"
#: Time between two probes of a container, and for one, in milliseconds.
PROBE_MS_MIN, PROBE_MS_MAX = 100, 3_600_000
#: Results in a row that a probe may ask for, and characters of its path.
PROBE_COUNT_MAX, PROBE_PATH_CHARS_MAX = 100, 1_024
#: Largest content of a config or secret, in bytes: what Docker Swarm takes of a secret.
FILE_BYTES_MAX = 500 * 1024
#: All configs and secrets of a stack together, in bytes: with room for the rest they fit in one message.
STACK_FILES_BYTES_MAX = 12 * 1024 * 1024

STACK_NAME = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{NAME_CHARS_MAX - 1}}}")
#: A service's full name, <stack>_<service>.
FULL_NAME_CHARS_MAX = 2 * NAME_CHARS_MAX + 1
FULL_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{FULL_NAME_CHARS_MAX - 1}}}")
SERVICE_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{NAME_CHARS_MAX - 1}}}")
