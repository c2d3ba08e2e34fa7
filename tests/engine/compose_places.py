"""Compose keys, each with a look at a container that shows it: mounts and networks."""

from __future__ import annotations

from tests.engine.compose_world import (
    SLEEP,
    Case,
    Look,
    inside,
    mount_options,
    network,
    shown,
    volume,
)

STORAGE = Case(
    "storage",
    f"""
    services:
      web:
        image: bayplan/demo:1
        command: {SLEEP}
        read_only: true
        shm_size: 8m
        tmpfs: ["/scratch:size=64k,mode=700,uid=7"]
        volumes:
          - $BINDS/made/deep:/made
          - $BINDS:/kept:ro
          - {{type: bind, source: $BINDS, target: /slave, bind: {{propagation: rslave, recursive: enabled}}}}
          - {{type: volume, source: data, target: /www, volume: {{nocopy: true}}}}
          - {{type: tmpfs, target: /mem, tmpfs: {{size: 128k, mode: 0750}}}}
          - {{type: volume, source: outer, target: /outer, read_only: true}}
          - tuned:/tuned
          - {{type: volume, source: slot, target: /slot, volume: {{labels: {{cost: low}}}}}}
    volumes:
      data: {{labels: {{team: a}}}}
      tuned: {{driver: local, driver_opts: {{type: tmpfs, device: tmpfs, o: size=256k}}, name: tuned-volume}}
      outer: {{external: true, name: outer-volume}}
      slot: {{name: "slot-{{{{.Task.Slot}}}}"}}
    """,
    {
        "services.*.read_only": (inside("grep ' / ' /proc/mounts | cut -d' ' -f4 | cut -c1-2"), "ro"),
        "services.*.shm_size": (mount_options("/dev/shm", "size"), "size=8192k"),
        "services.*.tmpfs": (mount_options("/scratch", "size", "mode", "uid"), "size=64k mode=700 uid=7"),
        "services.*.volumes": (inside("touch /made/by-us && ls /kept/made/deep"), "by-us"),
        "services.*.volumes[].type": (mount_options("/mem", "size"), "size=128k"),
        "services.*.volumes[].source": (inside("ls -d /slave/made"), "/slave/made"),
        "services.*.volumes[].target": (inside("ls -d /slave"), "/slave"),
        "services.*.volumes[].read_only": (
            inside("grep ' /outer ' /proc/mounts | cut -d' ' -f4 | cut -c1-2"),
            "ro",
        ),
        "services.*.volumes[].bind.propagation": (
            inside("grep ' /slave ' /proc/self/mountinfo | grep -o master"),
            "master",
        ),
        "services.*.volumes[].bind.create_host_path": (inside("ls -d /made"), "/made"),
        "services.*.volumes[].bind.recursive": (inside("ls -d /slave/made"), "/slave/made"),
        "services.*.volumes[].volume.labels": (volume("slot-3", "Labels", "cost"), "low"),
        "services.*.volumes[].volume.nocopy": (inside("ls /www | wc -l"), "0"),
        "services.*.volumes[].tmpfs.size": (mount_options("/mem", "size"), "size=128k"),
        "services.*.volumes[].tmpfs.mode": (mount_options("/mem", "mode"), "mode=750"),
        "volumes.*.labels": (volume("shop_data", "Labels", "team"), "a"),
        "volumes.*.driver": (volume("tuned-volume", "Driver"), "local"),
        "volumes.*.driver_opts": (mount_options("/tuned", "size"), "size=256k"),
        "volumes.*.name": (volume("tuned-volume", "Options", "type"), "tmpfs"),
        "volumes.*.external": (
            inside("grep -o 'outer-volume/_data /outer' /proc/self/mountinfo"),
            "outer-volume/_data /outer",
        ),
    },
)

_UDP_PORT = shown("NetworkSettings", "Ports", "53/udp", 0, "HostPort")


def _pool(part: str) -> Look:
    """A part of the network's first range of addresses."""
    return network("shop_front", "IPAM", "Config", 0, part)


NETWORKS = Case(
    "networks",
    f"""
    services:
      web:
        image: bayplan/demo:1
        command: {SLEEP}
        container_name: shop-web-1
        ports:
          - {{host_ip: 127.0.0.1, published: "18080", target: 80, mode: host}}
          - {{target: 53, published: "18053", protocol: udp, mode: host}}
        expose: ["9000"]
        dns: [10.77.0.9]
        dns_search: [shop.example]
        dns_opt: ["ndots:3"]
        extra_hosts: ["db.example:10.77.0.8", "gate:host-gateway"]
        networks:
          back: {{priority: 1}}
          front:
            priority: 10
            aliases: [shop-front]
            ipv4_address: 10.77.0.5
            ipv6_address: fd77::5
            link_local_ips: [169.254.7.5]
            mac_address: 02:42:0a:4d:00:05
            driver_opts: {{a.b: "1"}}
          outer: {{}}
    networks:
      front:
        driver: bridge
        x-bayplan: {{scope: node}}
        attachable: true
        enable_ipv4: true
        enable_ipv6: true
        driver_opts: {{com.docker.network.driver.mtu: "1400"}}
        labels: {{team: a}}
        ipam:
          driver: default
          options: {{rack: b}}
          config:
            - subnet: 10.77.0.0/24
              ip_range: 10.77.0.64/26
              gateway: 10.77.0.1
              aux_addresses: {{printer: 10.77.0.70}}
            - {{subnet: "fd77::/64"}}
      back: {{internal: true, name: the-back}}
      outer: {{external: true, name: outer-network}}
    """,
    {
        "services.*.container_name": (
            shown("NetworkSettings", "Networks", "the-back", "Aliases", 1),
            "shop-web-1",
        ),
        "services.*.ports[].host_ip": (
            shown("NetworkSettings", "Ports", "80/tcp"),
            [{"HostIp": "127.0.0.1", "HostPort": "18080"}],
        ),
        "services.*.ports[].target": (_UDP_PORT, "18053"),
        "services.*.ports[].published": (_UDP_PORT, "18053"),
        "services.*.ports[].protocol": (_UDP_PORT, "18053"),
        "services.*.ports[].mode": (_UDP_PORT, "18053"),
        "services.*.expose": (shown("Config", "ExposedPorts", "9000/tcp"), {}),
        "services.*.dns": (shown("HostConfig", "Dns"), ["10.77.0.9"]),
        "services.*.dns_search": (inside("grep ^search /etc/resolv.conf"), "search shop.example"),
        "services.*.dns_opt": (inside("grep -o ndots:. /etc/resolv.conf"), "ndots:3"),
        "services.*.extra_hosts": (
            inside("grep -c -E '10.77.0.8\\sdb.example|10.21.0.1\\sgate' /etc/hosts"),
            "2",
        ),
        "services.*.networks": (inside("ls /sys/class/net | tr '\\n' ' '"), "eth0 eth1 eth2 lo"),
        "services.*.networks.*.aliases": (
            inside("nslookup shop-front 127.0.0.11 | grep -c 10.77.0.5"),
            "1",
        ),
        "services.*.networks.*.priority": (shown("HostConfig", "NetworkMode"), "shop_front"),
        "services.*.networks.*.ipv4_address": (inside("ip -4 addr | grep -c 10.77.0.5/24"), "1"),
        "services.*.networks.*.ipv6_address": (inside("ip -6 addr | grep -c fd77::5/64"), "1"),
        "services.*.networks.*.link_local_ips": (inside("ip -4 addr | grep -c 169.254.7.5"), "1"),
        "services.*.networks.*.mac_address": (inside("ip link | grep -c 02:42:0a:4d:00:05"), "1"),
        "services.*.networks.*.driver_opts": (
            shown("NetworkSettings", "Networks", "shop_front", "DriverOpts"),
            {"a.b": "1"},
        ),
        "networks.*.driver": (network("shop_front", "Driver"), "bridge"),
        "networks.*.attachable": (network("shop_front", "Attachable"), True),
        "networks.*.enable_ipv6": (network("shop_front", "EnableIPv6"), True),
        "networks.*.driver_opts": (inside("ip link | grep -c 'mtu 1400'"), "1"),
        "networks.*.labels": (network("shop_front", "Labels", "team"), "a"),
        "networks.*.internal": (network("the-back", "Internal"), True),
        "networks.*.name": (network("the-back", "Name"), "the-back"),
        "networks.*.external": (shown("NetworkSettings", "Networks", "outer-network", "Aliases", 0), "web"),
        "networks.*.enable_ipv4": (_pool("Subnet"), "10.77.0.0/24"),
        "networks.*.ipam.driver": (network("shop_front", "IPAM", "Driver"), "default"),
        "networks.*.ipam.options": (network("shop_front", "IPAM", "Options"), {"rack": "b"}),
        "networks.*.ipam.config[].subnet": (_pool("Subnet"), "10.77.0.0/24"),
        "networks.*.ipam.config[].ip_range": (_pool("IPRange"), "10.77.0.64/26"),
        "networks.*.ipam.config[].gateway": (_pool("Gateway"), "10.77.0.1"),
        "networks.*.ipam.config[].aux_addresses": (_pool("AuxiliaryAddresses"), {"printer": "10.77.0.70"}),
    },
)

LONE = Case(
    "lone",
    f"""
    services:
      web:
        image: bayplan/demo:1
        command: {SLEEP}
        mac_address: 02:42:0a:4d:00:06
        volumes_from: ["store:ro"]
      other: {{image: "bayplan/demo:1", links: ["web:db"]}}
      store: {{image: "bayplan/demo:1", volumes: ["data:/data"]}}
    volumes: {{data: {{}}}}
    """,
    {
        "services.*.links": (shown("NetworkSettings", "Networks", "shop_default", "Aliases", 1), "db"),
        "services.*.volumes_from": (inside("grep -c ' /data .* ro' /proc/mounts"), "1"),
        "services.*.mac_address": (inside("cat /sys/class/net/eth0/address"), "02:42:0a:4d:00:06"),
    },
)

CASES = (STORAGE, NETWORKS, LONE)
