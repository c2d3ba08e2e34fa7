"""The door for configs and secrets. The content of a secret goes in here and never out."""

from __future__ import annotations

from typing import Any

import msgspec

from bayplan.errors import ProblemKind, refuse
from bayplan.model import FileKind
from bayplan.v1 import container_pb2, file_pb2, file_pb2_grpc
from bayplan.wire import to_pb
from controller.core import file_requests, files
from controller.doors.gate import Context, Gate, answers
from controller.events import FileCreateAsked, FileRemoveAsked, FileUpdateAsked


class FileDoor(file_pb2_grpc.FileServiceServicer):
    """FileService."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @answers
    async def CreateFile(self, request: file_pb2.CreateFileRequest, context: Context) -> Any:
        """Makes one."""
        kind = _kind(request.kind)
        changed = await self._gate.ask(
            lambda ticket: FileCreateAsked(
                ticket=ticket,
                kind=kind,
                name=request.name,
                content=request.content,
                labels=dict(request.labels),
            )
        )
        return file_pb2.CreateFileResponse(file=to_pb(changed.file))

    @answers
    async def UpdateFile(self, request: file_pb2.UpdateFileRequest, context: Context) -> Any:
        """Changes its content, and rolls the services that mount it."""
        kind = _kind(request.kind)
        changed = await self._gate.ask(
            lambda ticket: FileUpdateAsked(
                ticket=ticket, kind=kind, name=request.name, content=request.content
            )
        )
        return file_pb2.UpdateFileResponse(file=to_pb(changed.file), rolled=changed.rolled)

    @answers
    async def ListFiles(self, request: file_pb2.ListFilesRequest, context: Context) -> Any:
        """All of a kind by name."""
        kind = _kind(request.kind)
        state = await self._gate.read()
        used = files.users(state)
        rows = [
            files.view(file, used.get(key, []))
            for key, file in sorted(state.files.items())
            if file.kind is kind
        ]
        return file_pb2.ListFilesResponse(files=[to_pb(row) for row in rows])

    @answers
    async def GetFile(self, request: file_pb2.GetFileRequest, context: Context) -> Any:
        """One; with its content if it is a config."""
        kind = _kind(request.kind)
        state = await self._gate.read()
        file = file_requests.find(state, kind, request.name)
        row = files.view(file, files.users(state).get(file.key, []))
        if kind is FileKind.CONFIG:
            row = msgspec.structs.replace(row, content=state.contents.get(file.digest))
        return file_pb2.GetFileResponse(file=to_pb(row))

    @answers
    async def RemoveFile(self, request: file_pb2.RemoveFileRequest, context: Context) -> Any:
        """Removes one that nobody mounts."""
        kind = _kind(request.kind)
        await self._gate.ask(lambda ticket: FileRemoveAsked(ticket=ticket, kind=kind, name=request.name))
        return file_pb2.RemoveFileResponse()


_KINDS: dict[int, FileKind] = {
    container_pb2.FILE_KIND_CONFIG: FileKind.CONFIG,
    container_pb2.FILE_KIND_SECRET: FileKind.SECRET,
}


def _kind(number: int) -> FileKind:
    """Raises ProblemError when the request names none."""
    found = _KINDS.get(number)
    if found is None:
        raise refuse(ProblemKind.INVALID, "the request does not say whether a config or a secret is meant")
    return found
