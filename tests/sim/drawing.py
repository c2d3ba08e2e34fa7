"""Draws services and stacks: what users might ask for, from the dice."""

from __future__ import annotations

import random

import msgspec

from bayplan.model import (
    Dependency,
    DependencyCondition,
    FailureAction,
    RestartPolicy,
    Schedule,
    ServiceMode,
    ServiceSpec,
    StackSpec,
    UpdateOrder,
    UpdatePolicy,
)
from controller.records import GLOBAL_MODES, JOB_MODES
from tests.sim.stacks import service, stack

#: Of one size for all: what was placed once can then be placed again, in whatever order.
CPU = 0.25
#: The share of policies that begin with canaries.
CANARIES_SHARE = 0.15
#: Images and how often they are drawn; what they do stands in engine.py.
IMAGES = {"app": 60, "slow": 18, "ghost": 4, "crash": 10, "sick": 4, "job": 8}


class Drawer:
    """`hosts` is the size of the cluster: fixed ports need a host each. Of the services
    `plain_share` are bound to no node and come up, so that their tasks may move."""

    def __init__(self, rng: random.Random, hosts: int, plain_share: float = 0) -> None:
        self.rng, self.hosts, self.plain_share = rng, hosts, plain_share

    def stack(self, name: str) -> StackSpec:
        """Up to three services; each may depend on those before it."""
        names = self.rng.sample(("web", "api", "db"), self.rng.randint(1, 3))
        made: list[ServiceSpec] = []
        for each in sorted(names):
            made.append(self._with_order(self.service(name, each), made))
        return stack(name, *made)

    def service(self, stack_name: str, name: str) -> ServiceSpec:
        """A service of a stack."""
        rng = self.rng
        if self.plain_share and rng.random() < self.plain_share:
            return self._plain(name)
        fixed_port = rng.random() < 0.25
        port = 8000 + 10 * "abc".index(stack_name[0]) + len(name) if fixed_port else 0
        replicas = rng.randint(1, max(1, self.hosts - 1)) if fixed_port else rng.randint(0, 4)
        image = rng.choices(list(IMAGES), list(IMAGES.values()))[0]
        mode = ServiceMode.GLOBAL if rng.random() < 0.12 else ServiceMode.REPLICATED
        if image == "ghost":
            mode = ServiceMode.REPLICATED
        elif image == "job":
            mode = rng.choice((ServiceMode.REPLICATED_JOB, ServiceMode.GLOBAL_JOB))
        return service(
            name,
            max(1, replicas) if image == "ghost" else replicas,  # nobody is asked about no tasks
            image,
            cpu=CPU,
            port=0 if image == "job" or mode in GLOBAL_MODES else port,
            health=image == "sick" or rng.random() < 0.3,
            mode=mode,
            update=self.policy(),
            rollback=self.policy(),
            network=f"{stack_name}_default" if rng.random() < 0.5 else "",
            secret=f"{stack_name}_key{rng.randint(1, 2)}" if rng.random() < 0.25 else "",
            version=rng.choice(("", "v1", "v2")),
            restart=RestartPolicy(delay_ms=rng.choice((0, 0, 500))),
            **self._own(mode),
        )

    def _plain(self, name: str) -> ServiceSpec:
        rng = self.rng
        replicas, image, version = rng.randint(1, 3), rng.choice(("app", "slow")), rng.choice(("v1", "v2"))
        update = UpdatePolicy(parallelism=rng.choice((0, 1)), monitor_ms=500)
        drain_ms = rng.choice((0, 1_000))
        return service(name, replicas, image, cpu=CPU, update=update, version=version, drain_ms=drain_ms)

    def _own(self, mode: ServiceMode) -> dict[str, object]:
        """What x-bayplan adds."""
        rng = self.rng
        if mode in JOB_MODES:
            minutely = Schedule(cron="* * * * *", catch_up_ms=rng.choice((0, 60_000)))
            return {"schedule": minutely if rng.random() < 0.4 else None}
        return {"fence": rng.random() < 0.15, "drain_ms": rng.choice((0, 500, 1_000, 4_000))}

    def policy(self) -> UpdatePolicy:
        """How versions follow each other."""
        rng = self.rng
        return UpdatePolicy(
            parallelism=rng.choice((0, 1, 1, 2)),
            order=rng.choice(list(UpdateOrder)),
            monitor_ms=rng.choice((0, 500, 3_000)),
            max_failure_ratio=rng.choice((0.0, 0.0, 0.5)),
            failure_action=rng.choice(list(FailureAction)),
            **self._canaries(),
        )

    def _canaries(self) -> dict[str, object]:
        if self.rng.random() < CANARIES_SHARE:
            return {"canaries": self.rng.randint(1, 2), "auto_promote": self.rng.random() < 0.6}
        return {}

    def broken(self, spec: ServiceSpec) -> ServiceSpec:
        """A version that fails, and shall go back then."""
        policy = msgspec.structs.replace(
            self.policy(), failure_action=FailureAction.ROLLBACK, monitor_ms=3_000
        )
        container = msgspec.structs.replace(spec.container, image="crash")
        return msgspec.structs.replace(spec, container=container, update=policy)

    def _with_order(self, spec: ServiceSpec, before: list[ServiceSpec]) -> ServiceSpec:
        """The service with dependencies on some that came before it."""
        rng = self.rng
        needed = [each for each in before if rng.random() < 0.3]
        return msgspec.structs.replace(
            spec,
            depends_on=tuple(
                Dependency(
                    service=each.name,
                    condition=DependencyCondition.COMPLETED
                    if each.container.image == "job"
                    else rng.choice((DependencyCondition.STARTED, DependencyCondition.HEALTHY)),
                    required=rng.random() < 0.7,
                )
                for each in needed
            ),
        )
