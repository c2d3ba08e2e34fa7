"""Making a cluster: its keys and CA, its first record, its configuration. Whole or not at all."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from pathlib import Path

from bayplan.errors import ProblemKind, refuse
from bayplan.files import make_secret_folder
from bayplan.pump import read_clock
from controller import config as configuration
from controller.authority import Authority
from controller.config import CA_FOLDER, STORE_FILE, Config
from controller.content_key import ContentKey
from controller.records import Cluster, Put
from controller.store.seal import Seal
from controller.store.sqlite import SqliteStore


def make_cluster(config: Config, data_dir: Path) -> str:
    """Make a cluster in an empty or absent folder; returns its id. Raises ProblemError.

    The CA comes last: a folder with a CA holds a whole cluster, one without may be made anew.
    """
    configuration.check_loopback(config.http_listen)
    if (data_dir / CA_FOLDER).exists():
        raise refuse(
            ProblemKind.REFUSED,
            f"there is a cluster in {data_dir} already",
            hint="`bayplan join-token` adds hosts to it; to begin anew, stop it and move that folder away",
        )
    cluster_id = secrets.token_hex(8)
    try:
        make_secret_folder(data_dir)
        for leftover in data_dir.glob(f"{Path(STORE_FILE).stem}.*"):
            leftover.unlink()
        key = ContentKey.make()
        key.save(data_dir)
        asyncio.run(_first_record(data_dir / STORE_FILE, key, cluster_id))
        configuration.save(config, data_dir)
        Authority.create(cluster_id, read_clock().wall_ms).save(data_dir / CA_FOLDER)
        _hand_over(data_dir)
    except OSError as error:
        raise refuse(
            ProblemKind.REFUSED,
            f"cannot make a cluster in {data_dir}: {error.strerror}",
            hint="are you root? or name another place with --data-dir",
        ) from error
    return cluster_id


async def _first_record(path: Path, key: ContentKey, cluster_id: str) -> None:
    store = SqliteStore(path, Seal(key.sealing))
    try:
        await store.load()
        await store.append([Put(record=Cluster(id=cluster_id))])
    finally:
        await store.close()


def _hand_over(data_dir: Path) -> None:
    """Made by root in a folder of another user (systemd's StateDirectory): all of it is that user's."""
    owner = data_dir.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        for path in (data_dir, *data_dir.rglob("*")):
            shutil.chown(path, owner.st_uid, owner.st_gid)
