"""A gRPC server, as a program in a container: it tells the name of its machine. Argument: the port."""

from __future__ import annotations

import platform
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

METHOD = "/test.Who/Are"


class Who(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        if details.method != METHOD:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, context: platform.node().encode())


def main() -> None:
    server = grpc.server(ThreadPoolExecutor(2), handlers=[Who()])
    server.add_insecure_port(f"0.0.0.0:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
