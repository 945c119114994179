"""`chalice local` in this folder."""

from chalice import Chalice, Response
from kim_cnn import Classifier

app = Chalice(app_name="peer")
classify = Classifier()


@app.route("/echo", methods=["POST"])
def echo() -> Response:
    return Response(app.current_request.raw_body.decode(), headers={"content-type": "application/json"})


@app.route("/kim_cnn", methods=["POST"])
def kim_cnn() -> dict[str, object]:
    return classify(app.current_request.json_body["input"])
