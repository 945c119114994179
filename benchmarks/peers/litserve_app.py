"""`python litserve_app.py PORT echo|kim_cnn [fast]`: LitServe with its defaults, or with the queue it calls fast."""

import sys
from typing import Any

import litserve


class Echo(litserve.LitAPI):
    def setup(self, device: str) -> None: ...

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        return request


class KimCNN(litserve.LitAPI):
    def setup(self, device: str) -> None:
        from kim_cnn import Classifier

        self.classify = Classifier()

    def predict(self, request: dict[str, Any]) -> dict[str, object]:
        return self.classify(request["input"])


if __name__ == "__main__":
    [port, name, *fast] = sys.argv[1:]
    api = {"echo": Echo, "kim_cnn": KimCNN}[name](api_path=f"/{name}")
    server = litserve.LitServer(api, accelerator="cpu", fast_queue=bool(fast))
    server.run("127.0.0.1", int(port), generate_client_file=False)
