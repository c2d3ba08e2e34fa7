"""The table of commands. Each is imported only when it is used."""

from __future__ import annotations

import click

from bayplan import __version__
from bayplan.cli.commands import Lazy, LazyGroup

_C = "bayplan.cli"

stack = LazyGroup(
    "stack",
    help="Run what compose files describe.",
    examples=(
        "bayplan stack deploy -c docker-compose.yml shop",
        "bayplan stack ps shop",
        "bayplan stack rm shop",
    ),
    lazy={
        "deploy": Lazy(f"{_C}.deploy:deploy", "Make the cluster run a compose file, and wait until it does"),
        "plan": Lazy(f"{_C}.plan:plan", "Show what a deploy would do, and why; change nothing"),
        "ls": Lazy(f"{_C}.stack:ls", "List the stacks"),
        "services": Lazy(f"{_C}.stack:services", "List the services of a stack"),
        "ps": Lazy(f"{_C}.stack:ps", "List the tasks of a stack"),
        "rm": Lazy(f"{_C}.stack:rm", "Remove stacks, and wait until they are gone"),
        "config": Lazy(f"{_C}.config:config", "Print what compose files say once everything is resolved"),
        "export": Lazy(f"{_C}.config:export", "Print a stack of the cluster as a compose file"),
        "history": Lazy(f"{_C}.history:history", "List the revisions of a stack"),
        "diff": Lazy(f"{_C}.history:diff", "Show in which fields revisions or files differ"),
        "rollback": Lazy(f"{_C}.history:rollback", "Deploy an older revision again, and wait until it runs"),
        "quota": Lazy(f"{_C}.quota:quota", "Limit what a stack may set aside"),
    },
)

service = LazyGroup(
    "service",
    help="Make, change and look at single services.",
    examples=(
        "bayplan service ps shop_web",
        "bayplan service update --image nginx:1.28 shop_web",
        "bayplan service scale shop_web=5",
    ),
    lazy={
        "ls": Lazy(f"{_C}.service:ls", "List the services"),
        "ps": Lazy(f"{_C}.service:ps", "List the tasks of services"),
        "inspect": Lazy(f"{_C}.service:inspect", "Show everything about services"),
        "create": Lazy(f"{_C}.create:create", "Add a service to a stack, and wait until it runs"),
        "update": Lazy(f"{_C}.update:update", "Change a service, and wait until the new version runs"),
        "scale": Lazy(f"{_C}.scale:scale", "Change how many tasks a service has"),
        "rollback": Lazy(f"{_C}.update:rollback", "Take services back to the version before"),
        "restart": Lazy(f"{_C}.update:restart", "Replace all tasks of services by new ones"),
        "wait": Lazy(f"{_C}.update:wait", "Wait until services are as they shall be"),
        "rm": Lazy(f"{_C}.update:rm", "Remove services, and wait until they are gone"),
    },
)

rollout = LazyGroup(
    "rollout",
    help="See how an update goes, and steer it.",
    examples=(
        "bayplan rollout status shop_web",
        "bayplan rollout promote shop_web",
        "bayplan rollout undo shop_web",
    ),
    lazy={
        "status": Lazy(f"{_C}.rolling:status", "Show how far an update is"),
        "pause": Lazy(f"{_C}.rolling:pause", "Stop an update where it is"),
        "resume": Lazy(f"{_C}.rolling:resume", "Let a paused update go on"),
        "promote": Lazy(f"{_C}.rolling:promote", "Let the canaries' version take all slots"),
        "undo": Lazy(f"{_C}.rolling:undo", "Take an update back"),
    },
)

node = LazyGroup(
    "node",
    help="Look at the machines of the cluster, empty them, take them out.",
    examples=("bayplan node ls", "bayplan node drain n3", "bayplan node update --label-add zone=a n1"),
    lazy={
        "ls": Lazy(f"{_C}.node:ls", "List the nodes"),
        "ps": Lazy(f"{_C}.node:ps", "List the tasks of nodes"),
        "inspect": Lazy(f"{_C}.node:inspect", "Show everything about nodes"),
        "update": Lazy(f"{_C}.upkeep:update", "Change the availability and the labels of nodes"),
        "drain": Lazy(f"{_C}.upkeep:drain", "Move all tasks away from nodes, and wait until they are empty"),
        "rm": Lazy(f"{_C}.upkeep:rm", "Take nodes out of the cluster"),
    },
)

secret = LazyGroup(
    "secret",
    help="Keep small secret files in the cluster and give them to containers.",
    examples=(
        "bayplan secret create db_password ./db_password",
        "bayplan secret ls",
        "bayplan secret update db_password ./db_password",
    ),
    lazy={
        "create": Lazy(f"{_C}.stored:secret_create", "Make a secret from a file or standard input"),
        "ls": Lazy(f"{_C}.stored:secret_ls", "List the secrets"),
        "inspect": Lazy(f"{_C}.stored:secret_inspect", "Show all of secrets but their content"),
        "update": Lazy(f"{_C}.stored:secret_update", "Give a secret new content, and roll its services"),
        "rm": Lazy(f"{_C}.stored:secret_rm", "Remove secrets that no service mounts"),
    },
)

config = LazyGroup(
    "config",
    help="Keep small files in the cluster and give them to containers.",
    examples=(
        "bayplan config create nginx.conf ./nginx.conf",
        "bayplan config inspect --pretty nginx.conf",
        "bayplan config update nginx.conf ./nginx.conf",
    ),
    lazy={
        "create": Lazy(f"{_C}.stored:config_create", "Make a config from a file or standard input"),
        "ls": Lazy(f"{_C}.stored:config_ls", "List the configs"),
        "inspect": Lazy(f"{_C}.stored:config_inspect", "Show everything about configs"),
        "update": Lazy(f"{_C}.stored:config_update", "Give a config new content, and roll its services"),
        "rm": Lazy(f"{_C}.stored:config_rm", "Remove configs that no service mounts"),
    },
)

network = LazyGroup(
    "network",
    help="Make and look at networks that span the nodes.",
    examples=(
        "bayplan network create backbone",
        "bayplan network ls",
        "bayplan network inspect --pretty shop_default",
    ),
    lazy={
        "create": Lazy(f"{_C}.network:create", "Make a network for services of several stacks"),
        "ls": Lazy(f"{_C}.network:ls", "List the networks"),
        "inspect": Lazy(f"{_C}.network:inspect", "Show everything about networks"),
        "rm": Lazy(f"{_C}.network:rm", "Remove networks that no service is in"),
    },
)

registry = LazyGroup(
    "registry",
    help="Find out where services answer.",
    examples=(
        "bayplan registry services",
        "bayplan registry lookup shop/web",
        "bayplan registry lookup -q shop_web",
    ),
    lazy={
        "services": Lazy(f"{_C}.registry:services", "List the services that can be looked up"),
        "lookup": Lazy(f"{_C}.registry:lookup", "Show where the ready instances of a service are"),
        "watch": Lazy(f"{_C}.registry_watch:watch", "Show how the instances of a service come and go"),
        "health": Lazy(f"{_C}.registry_watch:health", "Show what the checks of instances say"),
        "register": Lazy(f"{_C}.registering:register", "Let something be found that is no task"),
        "deregister": Lazy(f"{_C}.registering:deregister", "Let it be found no more"),
        "override": Lazy(f"{_C}.registering:override", "Take an instance out of use, or weigh it"),
        "xds-bootstrap": Lazy(f"{_C}.registry_watch:xds_bootstrap", "Print what gRPC's xDS clients need"),
    },
)


@click.group(
    "bayplan",
    cls=LazyGroup,
    help="Run compose files on many machines, and find their services by name.",
    examples=(
        "bayplan init",
        "bayplan plan -c docker-compose.yml shop",
        "bayplan stack deploy -c docker-compose.yml shop",
    ),
    lazy={
        "init": Lazy(f"{_C}.cluster:init", "Make this machine the controller of a new cluster"),
        "join-token": Lazy(f"{_C}.cluster:join_token", "Make the line with which a machine joins"),
        "join": Lazy(f"{_C}.cluster:join", "Make this machine a node of a cluster"),
        "status": Lazy(f"{_C}.status:status", "Show the cluster on one screen"),
        "doctor": Lazy(f"{_C}.doctor:doctor", "Look for what is wrong, with advice"),
        "plan": Lazy(f"{_C}.plan:plan", "Show what a deploy would do, and why; change nothing"),
        "stack": Lazy(f"{_C}.root:stack", "Run what compose files describe"),
        "service": Lazy(f"{_C}.root:service", "Make, change and look at single services"),
        "rollout": Lazy(f"{_C}.root:rollout", "See how an update goes, and steer it"),
        "run": Lazy(f"{_C}.run:run", "Run one command in a container, somewhere in the cluster"),
        "ps": Lazy(f"{_C}.ps:ps", "List the tasks of the whole cluster"),
        "explain": Lazy(f"{_C}.explain:explain", "Show why a service or a task stands as it does"),
        "events": Lazy(f"{_C}.events:events", "Show what happened"),
        "secret": Lazy(f"{_C}.root:secret", "Keep small secret files for containers"),
        "config": Lazy(f"{_C}.root:config", "Keep small files for containers"),
        "network": Lazy(f"{_C}.root:network", "Make and look at networks that span the nodes"),
        "node": Lazy(f"{_C}.root:node", "Look at the machines of the cluster, and empty them"),
        "simulate": Lazy(f"{_C}.moves:simulate", "Show what would become of the tasks of lost nodes"),
        "rebalance": Lazy(f"{_C}.moves:rebalance", "Move tasks to even out the load of the nodes"),
        "logs": Lazy(f"{_C}.logs:logs", "Show the output of services and tasks"),
        "registry": Lazy(f"{_C}.root:registry", "Find out where services answer"),
        "version": Lazy(f"{_C}.version:version", "Show the versions of client and controller"),
    },
)
@click.option(
    "-H", "--host", metavar="HOST", help="The controller's socket, unix:///path. [env: BAYPLAN_HOST]"
)
@click.version_option(__version__, message="bayplan %(version)s", help="Show the version.")
def root(host: str | None) -> None:
    del host  # `connect` reads it from the context
