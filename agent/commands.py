"""What an agent does (commands, imperative).

A command for a task, an image or a file has exactly ONE outcome event, also when it fails; at most one
command of a task is in flight, but that a stop may overtake RunHooks:

    CreateContainer -> ContainerCreated | CommandFailed      PullImage      -> ImagePulled | PullFailed
    StartContainer  -> ContainerStarted | CommandFailed      RemoveNetwork  -> NetworkRemoved | NetworkKept
    StopContainer   -> ContainerStopped | CommandFailed      CheckPreflight -> PreflightChecked
    RemoveContainer -> ContainerRemoved | CommandFailed      Say(Report)    -> Said | LinkClosed
    RunHooks        -> HooksDone | HooksFailed               CloseLink      -> LinkClosed
    WriteFile       -> FileWritten | FileNotWritten          RemoveFile     -> FileRemoved
    KeepOverlays    -> OverlaysKept (one at a time)
    StartProbe      -> Probed, again and again               other Say, PushLogs, StopLogs, StopProbe -> none
"""

from __future__ import annotations

from typing import Any

from agent.events import Run, StoredFile
from bayplan.model import ContainerSpec, Hook, Model, Overlay, Probe
from bayplan.session import AgentSays, LogPull, Preflight

# --- commands: the engine ----------------------------------------------------------------------------


class CreateContainer(Model, frozen=True, kw_only=True, tag=True):
    """Make the container `bp-<task_id>` from `config` (the engine's create request), not started.

    The networks of `spec` are made first where they are missing, labelled with `stack` and the node; but
    for `overlays`, which are there. Its files, which the node holds, are mounted beside what `config` says,
    as is a file of its own with `resolv_conf`, unless that is empty.
    """

    task_id: str
    stack: str
    spec: ContainerSpec
    config: dict[str, Any]
    overlays: tuple[str, ...] = ()
    resolv_conf: str = ""


class StartContainer(Model, frozen=True, kw_only=True, tag=True):
    """Start a container that was created or has exited."""

    task_id: str
    container_id: str


class RunHooks(Model, frozen=True, kw_only=True, tag=True):
    """Run the post_start hooks in order, up to the first that fails. Outcomes repeat `started_ms`."""

    task_id: str
    container_id: str
    started_ms: int
    hooks: tuple[Hook, ...]


class StopContainer(Model, frozen=True, kw_only=True, tag=True):
    """Run the pre_stop hooks in order, for no longer than the grace; whatever became of them, send the
    stop signal then, and SIGKILL after the grace."""

    task_id: str
    container_id: str
    grace_ms: int
    pre_stop: tuple[Hook, ...] = ()


class RemoveContainer(Model, frozen=True, kw_only=True, tag=True):
    """Remove the container and its anonymous volumes."""

    task_id: str
    container_id: str


class PullImage(Model, frozen=True, kw_only=True, tag=True):
    """Bring the image onto this node, or its newest version; an empty platform is the node's own."""

    image: str
    platform: str = ""


class RemoveNetwork(Model, frozen=True, kw_only=True, tag=True):
    """Remove a network of ours that no task uses any more."""

    network: str


class KeepOverlays(Model, frozen=True, kw_only=True, tag=True):
    """Have these networks that span nodes here, each as it is told; what is so already stays untouched."""

    overlays: tuple[Overlay, ...]


class WriteFile(Model, frozen=True, kw_only=True, tag=True):
    """Write a file whole, with its owner and mode; one that is there already stays as it is."""

    file: StoredFile
    content: bytes

    def __repr__(self) -> str:
        return f"WriteFile({self.file}, {len(self.content)} bytes)"


class RemoveFile(Model, frozen=True, kw_only=True, tag=True):
    """Remove a file that no task mounts any more."""

    file: StoredFile


class CheckPreflight(Model, frozen=True, kw_only=True, tag=True):
    """Find out whether this node could start something; the answer goes to `link`."""

    link: int
    preflight: Preflight


class PushLogs(Model, frozen=True, kw_only=True, tag=True):
    """Push the output of tasks to the controller."""

    pull: LogPull


class StopLogs(Model, frozen=True, kw_only=True, tag=True):
    """End a PushLogs; an unknown request is no error."""

    request_id: str


# --- commands: the session ---------------------------------------------------------------------------


class Say(Model, frozen=True, kw_only=True, tag=True):
    """Send a message over a link; a link that is over makes it void."""

    link: int
    message: AgentSays


class CloseLink(Model, frozen=True, kw_only=True, tag=True):
    """End a link; the door tries again after its back-off."""

    link: int
    reason: str


class StartProbe(Model, frozen=True, kw_only=True, tag=True):
    """Probe a run of a container from now on; another run of the same task is probed no more."""

    task_id: str
    run: Run
    address: str
    probe: Probe


class StopProbe(Model, frozen=True, kw_only=True, tag=True):
    """A task is probed no more; one that is not probed is no error."""

    task_id: str


EngineCommand = (
    CreateContainer
    | StartContainer
    | RunHooks
    | StopContainer
    | RemoveContainer
    | PullImage
    | RemoveNetwork
    | KeepOverlays
    | CheckPreflight
    | PushLogs
    | StopLogs
)
FileCommand = WriteFile | RemoveFile
SessionCommand = Say | CloseLink
ProbeCommand = StartProbe | StopProbe
Command = EngineCommand | FileCommand | SessionCommand | ProbeCommand
