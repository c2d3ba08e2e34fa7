"""Stacks for properties: any that the loader could have made, in the form in which it makes them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from bayplan.model import (
    ContainerSpec,
    FailureAction,
    FileKind,
    FileMount,
    HealthCheck,
    LogConfig,
    Mount,
    MountKind,
    NetworkAttachment,
    NetworkSpec,
    PortMode,
    PortSpec,
    Protocol,
    Resources,
    RestartCondition,
    RestartPolicy,
    ServiceSpec,
    StackFile,
    StackSpec,
    Ulimit,
    UpdateOrder,
    UpdatePolicy,
    VolumeSpec,
)


def comparable(stack: StackSpec) -> StackSpec:
    """The stack without its places and without what is never shown; the order of mounts means nothing."""
    services = tuple(replace(each, places={}, container=_sorted(each.container)) for each in stack.services)
    files = (replace(file, place="") for file in stack.files)
    hidden = (
        replace(file, content=b"", labels={}, external=True) if file.kind is FileKind.SECRET else file
        for file in files
    )
    return replace(stack, services=services, files=tuple(hidden))


def _sorted(container: ContainerSpec) -> ContainerSpec:
    return replace(container, mounts=tuple(sorted(container.mounts, key=lambda mount: mount.target)))


steps = st.text("abcXYZ09._-", min_size=1, max_size=8).filter(lambda step: step.strip("."))
paths = st.lists(steps, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
odd_texts = st.sampled_from(
    ["no", "22:22", "0440", "1e3", "~", "", " a", "a\n", "\n", "$$", "${A}", "- a", "#", "\t"]
)
values = st.one_of(texts, odd_texts)
keys = values.filter(lambda key: bool(key) and "=" not in key)
labels = st.dictionaries(keys, values, max_size=3)
names = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
durations = st.one_of(st.integers(1, 10**7), st.integers(1, 500).map(lambda number: number * 60_000))
sizes = st.one_of(st.integers(2**23, 2**40), st.integers(8, 4096).map(lambda number: number * 1024**2))


def tuples(items: st.SearchStrategy[Any], by: str = "") -> st.SearchStrategy[tuple[Any, ...]]:
    """Up to three items, each once, or each value of a field once."""
    unique = (lambda item: getattr(item, by)) if by else (lambda item: item)
    return st.lists(items, max_size=3, unique_by=unique).map(tuple)


environments = st.dictionaries(keys, st.one_of(st.none(), values), max_size=3).map(
    lambda pairs: tuple(sorted(name if value is None else f"{name}={value}" for name, value in pairs.items()))
)
health_checks = st.builds(
    HealthCheck,
    test=st.one_of(
        st.just(()),
        st.tuples(st.just("CMD-SHELL"), values.filter(bool)),
        st.lists(values, min_size=1, max_size=3).map(lambda words: ("CMD", *words)),
    ),
    interval_ms=durations,
    timeout_ms=durations,
    start_period_ms=durations,
    retries=st.integers(1, 99),
    start_interval_ms=durations,
)
ports = st.builds(
    PortSpec,
    target=st.integers(1, 65_535),
    published=st.integers(0, 65_535),
    protocol=st.sampled_from(Protocol),
    host_ip=st.sampled_from(["", "127.0.0.1", "::1"]),
    mode=st.sampled_from(PortMode),
    name=st.sampled_from(["", "http"]),
)
flags = st.booleans()
volume_mounts = st.builds(
    Mount,
    kind=st.just(MountKind.VOLUME),
    source=st.sampled_from(["shop_a", "shop_b", "store"]),
    target=paths,
    read_only=flags,
    no_copy=flags,
    subpath=st.sampled_from(["", "a/b"]),
    volume=st.just(VolumeSpec()),
)
bind_mounts = st.builds(
    Mount,
    kind=st.just(MountKind.BIND),
    source=paths,
    target=paths,
    read_only=flags,
    create_source=flags,
    propagation=st.sampled_from(["", "rslave"]),
)
tmpfs_mounts = st.builds(
    Mount,
    kind=st.just(MountKind.TMPFS),
    target=paths,
    read_only=flags,
    tmpfs_size_bytes=sizes,
    tmpfs_mode=st.integers(0, 0o7777),
    tmpfs_options=st.lists(st.sampled_from(["exec", "uid=7", "noatime", "nr_inodes=64k"]), unique=True).map(
        tuple
    ),
)
file_mounts = st.builds(
    FileMount,
    kind=st.just(FileKind.CONFIG),
    source=st.sampled_from(["shop_c", "c", "shop_shop_c"]),
    target=paths.map(lambda path: f"/files{path}"),
    uid=st.integers(0, 2**32 - 2),
    gid=st.integers(0, 2**32 - 2),
    mode=st.integers(0, 0o7777),
)
networks = st.builds(
    NetworkAttachment,
    network=st.sampled_from(["shop_default", "shop_back", "back", "default"]),
    aliases=tuples(names).map(lambda aliases: ("web", *aliases)),
    priority=st.integers(0, 9),
    driver_options=labels,
    spec=st.sampled_from(
        [NetworkSpec(internal=True, encrypted=True), NetworkSpec(internal=True, node_local=True)]
    ),
)
updates = st.builds(
    UpdatePolicy,
    parallelism=st.integers(0, 9),
    delay_ms=durations,
    order=st.sampled_from(UpdateOrder),
    monitor_ms=durations,
    max_failure_ratio=st.floats(0, 1),
    failure_action=st.sampled_from(FailureAction),
    deadline_ms=durations,
    canaries=st.integers(0, 9),
    auto_promote=flags,
)
containers = st.builds(
    ContainerSpec,
    image=st.sampled_from(["nginx", "registry:5000/a/b:1.0"]),
    entrypoint=st.one_of(st.none(), st.lists(values, max_size=3).map(tuple)),
    command=st.one_of(st.none(), st.lists(values, max_size=3).map(tuple)),
    environment=environments,
    labels=labels,
    init=flags,
    stop_grace_ms=durations,
    health_check=st.one_of(st.none(), health_checks),
    mounts=tuples(st.one_of(volume_mounts, bind_mounts, tmpfs_mounts), by="target"),
    files=tuples(file_mounts, by="target"),
    ports=tuples(ports, by="published"),
    networks=st.one_of(
        st.just((NetworkAttachment(network="shop_default", aliases=("web",)),)),
        tuples(networks, by="network").filter(bool),
    ),
    log=st.builds(LogConfig, driver=st.sampled_from(["", "local"]), options=labels),
    limits=st.builds(Resources, cpu_millis=st.integers(1, 10**6), memory_bytes=sizes),
    ulimits=st.builds(Ulimit, name=st.just("nofile"), soft=st.integers(0, 9), hard=st.integers(9, 99)).map(
        lambda ulimit: (ulimit,)
    ),
)
services = st.builds(
    ServiceSpec,
    name=st.just("web"),
    container=containers,
    replicas=st.integers(0, 99),
    restart=st.builds(
        RestartPolicy,
        condition=st.sampled_from(RestartCondition),
        delay_ms=durations,
        max_attempts=st.integers(0, 9),
        window_ms=durations,
    ),
    update=updates,
    labels=labels,
    fence=flags,
    drain_ms=durations,
)
contents = st.builds(
    StackFile,
    kind=st.just(FileKind.CONFIG),
    name=st.just(""),
    content=values.map(lambda text: "".join(filter(str.isprintable, text)).encode()),
    labels=labels,
)


@st.composite
def stacks(draw: st.DrawFn) -> StackSpec:
    """A stack of one service, with the configs that it mounts."""
    service = draw(services)
    used = sorted({mount.source for mount in service.container.files})
    files = tuple(replace(draw(contents), name=name) for name in used)
    return StackSpec(name="shop", services=(service,), files=files)
