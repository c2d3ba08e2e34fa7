"""Calls about configs and secrets."""

from __future__ import annotations

from collections.abc import Mapping

from bayplan.client.calls import DEPLOY_S, READ_S, WRITE_S, Calls, call, value, values
from bayplan.model import FileKind
from bayplan.v1 import container_pb2, file_pb2
from bayplan.v1.file_pb2_grpc import FileServiceStub
from bayplan.views import FileView


class FileCalls(Calls):
    """FileService."""

    def files(self, kind: FileKind) -> tuple[FileView, ...]:
        """All configs, or all secrets, by name."""
        request = file_pb2.ListFilesRequest(kind=_kind(kind))
        return values(call(self._stub(FileServiceStub).ListFiles, request, READ_S).files)

    def file(self, kind: FileKind, name: str) -> FileView:
        """One, a config with its content."""
        request = file_pb2.GetFileRequest(kind=_kind(kind), name=name)
        file: FileView = value(call(self._stub(FileServiceStub).GetFile, request, READ_S).file)
        return file

    def create_file(self, kind: FileKind, name: str, content: bytes, labels: Mapping[str, str]) -> FileView:
        request = file_pb2.CreateFileRequest(kind=_kind(kind), name=name, content=content, labels=labels)
        file: FileView = value(call(self._stub(FileServiceStub).CreateFile, request, WRITE_S).file)
        return file

    def update_file(self, kind: FileKind, name: str, content: bytes) -> tuple[FileView, tuple[str, ...]]:
        """It with its new content, and the full names of the services that are rolled."""
        request = file_pb2.UpdateFileRequest(kind=_kind(kind), name=name, content=content)
        answer = call(self._stub(FileServiceStub).UpdateFile, request, DEPLOY_S)
        return value(answer.file), tuple(answer.rolled)

    def remove_file(self, kind: FileKind, name: str) -> None:
        request = file_pb2.RemoveFileRequest(kind=_kind(kind), name=name)
        call(self._stub(FileServiceStub).RemoveFile, request, WRITE_S)


def _kind(kind: FileKind) -> container_pb2.FileKind.ValueType:
    return container_pb2.FileKind.Value(f"FILE_KIND_{kind.name}")
