"""The connection to a controller: the calls of every noun in one place. Each has a deadline."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType

from bayplan.client.cluster import ClusterCalls
from bayplan.client.connection import DEFAULT_HOST, open_channel
from bayplan.client.files import FileCalls
from bayplan.client.networks import NetworkCalls
from bayplan.client.registry import RegistryCalls
from bayplan.client.services import ServiceCalls
from bayplan.client.stacks import StackCalls
from bayplan.client.tasks import TaskCalls


class Client(
    StackCalls,
    ServiceCalls,
    TaskCalls,
    ClusterCalls,
    RegistryCalls,
    FileCalls,
    NetworkCalls,
    AbstractContextManager["Client"],
):
    """A connection to one controller. Every method raises ProblemError and nothing else."""

    def __init__(self, host: str = DEFAULT_HOST) -> None:
        super().__init__(open_channel(host))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every call that is still open."""
        self._channel.close()
