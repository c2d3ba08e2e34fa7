"""Consul's HTTP API (https://developer.hashicorp.com/consul/api-docs): reads from the directory, and
registrations with leases. A stack's service is named `shop_web`; nodes are bayplan's."""
