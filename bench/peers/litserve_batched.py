"""LitServe with dynamic batching: one worker process with the models, requests gathered for two milliseconds."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import litserve

from bench.peers.shared import answered, body_of, parsed, plain_ports


class Api(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        self.ports = plain_ports()
        self.loop = asyncio.new_event_loop()

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # an annotation would make it a query parameter
        return request

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, x: list[dict[str, Any]]) -> list[Any]:
        import orjson

        requests = [parsed(orjson.dumps(each)) for each in x]
        return self.loop.run_until_complete(answered(requests, self.ports))

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output

    def encode_response(self, output: Any) -> Any:
        import orjson

        return orjson.loads(body_of(output)[1])


def main() -> None:
    api = Api(max_batch_size=64, batch_timeout=0.002, api_path="/api/v1/predict")
    server = litserve.LitServer(api, accelerator="cpu", healthcheck_path="/readyz")
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, num_api_servers=1)


if __name__ == "__main__":
    main()
