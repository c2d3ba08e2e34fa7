"""What a container gets of the machine itself: devices, GPUs, process limits, rates of block devices.

Each decoder takes a field and gives the model's value. Whether a node has such things is the scheduler's
and the engine's to know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bayplan.compose.decoders import COUNT_MAX, size
from bayplan.compose.fields import (
    Decoder,
    Field,
    Keys,
    Typed,
    choice,
    each,
    labels,
    struct,
    text,
    whole,
    yes,
)
from bayplan.compose.nodes import Map, Scalar
from bayplan.compose.report import shown
from bayplan.model import BlockIo, Device, DeviceRate, DeviceRequest, Ulimit
from bayplan.units import INT64_MAX

#: Stands for all devices of a request, as for the engine.
ALL = -1
#: The capability that asks for graphics processors, and the name under which the cluster counts them.
GPU = "gpu"

_CDI = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+=\S+", re.ASCII)
_PERMISSIONS = re.compile(r"[rwm]{1,3}")
_CGROUP_RULE = re.compile(r"[acb] (?:\d+|\*):(?:\d+|\*) [rwm]{1,3}", re.ASCII)
_ULIMITS = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
    "rtprio", "rttime", "sigpending", "stack",
)  # fmt: skip


class _Device(Typed, frozen=True, kw_only=True):
    source: str = ""
    target: str = ""
    permissions: str = "rwm"


def _permissions(field: Field) -> str:
    if _PERMISSIONS.fullmatch(text(field)) is None:
        raise field.refuse(f"shall be some of r, w and m, not {shown(text(field))}")
    return text(field)


DEVICE: Keys = {"source": yes(text), "target": yes(text), "permissions": yes(_permissions)}
_DEVICE = struct(_Device, DEVICE, "a device")


def device(field: Field) -> Device:
    """A device of the node: `/dev/a`, `/dev/a:/dev/b`, `/dev/a:/dev/b:rwm`, or the long form."""
    if isinstance(field.node, Map):
        long = _DEVICE(field)
        source, target, permissions = long.source, long.target, long.permissions
    else:
        source, target, permissions = _short_device(text(field))
    if _CDI.fullmatch(source):
        hint = "ask by deploy.resources.reservations.devices with a driver and device_ids"
        raise field.refuse(f"names a device of the CDI, which is not supported: {shown(source)}", hint=hint)
    target = target or source
    if not source.startswith("/") or not target.startswith("/") or not _PERMISSIONS.fullmatch(permissions):
        raise field.refuse("is not a device", hint='write "/dev/a", "/dev/a:/dev/b" or "/dev/a:/dev/b:rwm"')
    return Device(source=source, target=target, permissions=permissions)


def _short_device(written: str) -> tuple[str, str, str]:
    source, _, rest = written.partition(":")
    target, colon, permissions = rest.partition(":")
    if not colon and _PERMISSIONS.fullmatch(target):
        return source, "", target
    return source, target, permissions if colon else "rwm"


def cgroup_rule(field: Field) -> str:
    """A rule of the cgroup's device list, `c 1:3 mr`."""
    if _CGROUP_RULE.fullmatch(text(field)) is None:
        raise field.refuse(f"is not a device rule: {shown(text(field))}", hint='write it like "c 1:3 mr"')
    return text(field)


class _Request(Typed, frozen=True, kw_only=True):
    capabilities: tuple[str, ...] = ()
    count: int | None = None
    device_ids: tuple[str, ...] = ()
    driver: str = ""
    options: dict[str, str] = {}


def _device_count(field: Field) -> int:
    return ALL if text(field) in ("all", "-1") else whole(1, 2**31 - 1)(field)


DEVICE_REQUEST: Keys = {
    "capabilities": yes(each(text), "`gpu` is also counted: nodes have so many"),
    "count": yes(_device_count, "`all` where neither it nor `device_ids` is given"),
    "device_ids": yes(each(text)),
    "driver": yes(text),
    "options": yes(labels),
}
_REQUEST = struct(_Request, DEVICE_REQUEST, "a device reservation")


def device_request(field: Field) -> DeviceRequest:
    """An entry of `deploy.resources.reservations.devices`."""
    request = _REQUEST(field)
    if "capabilities" not in request.places:
        raise field.refuse("has no capabilities", hint="add `capabilities: [gpu]`")
    return _request(field, request, request.capabilities)


def gpus(field: Field) -> tuple[DeviceRequest, ...]:
    """`gpus`: `all`, or a list of reservations whose capability is `gpu` besides."""
    if isinstance(field.node, Scalar):
        count = choice({"all": ALL})(field)
        return (DeviceRequest(capabilities=(GPU,), count=count),)

    def read(item: Field) -> DeviceRequest:
        request = _REQUEST(item)
        return _request(item, request, tuple(dict.fromkeys((GPU, *request.capabilities))))

    return each(read)(field)


def _request(field: Field, request: _Request, capabilities: tuple[str, ...]) -> DeviceRequest:
    if request.count is not None and request.device_ids:
        raise field.refuse("has both count and device_ids", hint="keep one of them")
    count = request.count
    if count is None:
        count = 0 if request.device_ids else ALL
    return DeviceRequest(
        capabilities=capabilities,
        driver=request.driver,
        count=count,
        device_ids=request.device_ids,
        options=request.options,
    )


def gpu_count(requests: Iterable[DeviceRequest]) -> int:
    """How many GPUs are asked for; of "all" at least one."""
    return sum(
        1 if request.count == ALL else request.count or len(request.device_ids)
        for request in requests
        if GPU in request.capabilities
    )


class _Discrete(Typed, frozen=True, kw_only=True):
    kind: str = ""
    value: int = 0


class _Generic(Typed, frozen=True, kw_only=True):
    discrete_resource_spec: _Discrete = _Discrete()


DISCRETE: Keys = {"kind": yes(text), "value": yes(whole(0, 2**31 - 1))}
GENERIC: Keys = {"discrete_resource_spec": yes(struct(_Discrete, DISCRETE, "a discrete resource"))}
_GENERIC = each(struct(_Generic, GENERIC, "a generic resource"))


def generic_resources(field: Field) -> dict[str, int]:
    """Countable goods of a node, by kind."""
    goods: dict[str, int] = {}
    for entry in _GENERIC(field):
        spec = entry.discrete_resource_spec
        if not spec.kind:
            raise field.refuse(
                "has a resource without a kind", hint="add `discrete_resource_spec: {kind: ...}`"
            )
        goods[spec.kind] = goods.get(spec.kind, 0) + spec.value
    return goods


class _Ulimit(Typed, frozen=True, kw_only=True):
    soft: int | None = None
    hard: int | None = None


_amount = whole(-1, INT64_MAX)
ULIMIT: Keys = {"soft": yes(_amount, "the hard one where none is given"), "hard": yes(_amount)}
_ULIMIT = struct(_Ulimit, ULIMIT, "a limit")


def ulimits(field: Field) -> tuple[Ulimit, ...]:
    """Limits of processes by name: one number for both, or soft and hard; -1 is none."""
    found: list[Ulimit] = []
    for name, child in field.entries():
        with field.report.collect():
            choice(dict.fromkeys(_ULIMITS, name))(child._replace(node=Scalar("", 0, name)))
            found.append(_ulimit(name, child))
    return tuple(found)


def _ulimit(name: str, field: Field) -> Ulimit:
    if not isinstance(field.node, Map):
        amount = _amount(field)
        return Ulimit(name=name, soft=amount, hard=amount)
    long = _ULIMIT(field)
    soft = long.hard if long.soft is None else long.soft
    hard = long.soft if long.hard is None else long.hard
    if soft is None or hard is None:
        raise field.refuse("has neither soft nor hard", hint="add `soft: 1024` and `hard: 4096`")
    if hard != -1 and (soft == -1 or soft > hard):
        raise field.refuse(
            f"has a soft limit above the hard one: {soft} of {hard}", hint="raise the hard one"
        )
    return Ulimit(name=name, soft=soft, hard=hard)


class _Rate(Typed, frozen=True, kw_only=True):
    path: str = ""
    rate: int = 0
    weight: int = 0


class _BlockIo(Typed, frozen=True, kw_only=True):
    weight: int = 0
    weight_device: tuple[DeviceRate, ...] = ()
    device_read_bps: tuple[DeviceRate, ...] = ()
    device_read_iops: tuple[DeviceRate, ...] = ()
    device_write_bps: tuple[DeviceRate, ...] = ()
    device_write_iops: tuple[DeviceRate, ...] = ()


def _rate(name: str, decode: Decoder[int]) -> Decoder[tuple[DeviceRate, ...]]:
    read = struct(_Rate, {"path": yes(text), name: yes(decode)}, "a rate of a device")

    def device_rate(field: Field) -> DeviceRate:
        entry = read(field)
        if not entry.path.startswith("/"):
            raise field.refuse("has no path of a device", hint="add `path: /dev/sda`")
        return DeviceRate(path=entry.path, rate=entry.rate or entry.weight)

    return each(device_rate)


_weight = whole(0, 1_000)
BLKIO_CONFIG: Keys = {
    "weight": yes(_weight, "10 to 1000"),
    "weight_device": yes(_rate("weight", _weight), "each a `path` and a `weight`"),
    "device_read_bps": yes(_rate("rate", size), "each a `path` and a `rate`"),
    "device_read_iops": yes(_rate("rate", whole(0, COUNT_MAX)), "each a `path` and a `rate`"),
    "device_write_bps": yes(_rate("rate", size), "each a `path` and a `rate`"),
    "device_write_iops": yes(_rate("rate", whole(0, COUNT_MAX)), "each a `path` and a `rate`"),
}
_BLKIO = struct(_BlockIo, BLKIO_CONFIG, "blkio_config")


def block_io(field: Field) -> BlockIo:
    """`blkio_config`."""
    written = _BLKIO(field)
    return BlockIo(
        weight=written.weight,
        weight_device=written.weight_device,
        read_bytes=written.device_read_bps,
        read_operations=written.device_read_iops,
        write_bytes=written.device_write_bps,
        write_operations=written.device_write_iops,
    )
