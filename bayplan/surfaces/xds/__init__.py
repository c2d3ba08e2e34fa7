"""The directory as gRPC clients (`xds:///shop/web`) and Envoy ask for it: aggregated discovery, v3, state of
the world (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol)."""
