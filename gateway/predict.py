"""The two native routes, as functions of a validated body and a backend. (Signature first; body follows.)

In service.py::

    ROUTES = build_routes(lambda: bentoml.get_current_service().backend)

    @bentoml.asgi_app(ROUTES, path="/api/v1")
    @bentoml.service(service_class=gateway_service(read_options), ...)
    class DeepFinance:
        @bentoml.api(route="/api/v1/predict", output_spec=PredictResponse)
        async def predict(self, body: PredictRequest, /) -> Response:
            return await answer_predict(body, self.backend)

        @bentoml.api(route="/api/v1/predict/batch", output_spec=BatchResponse)
        async def predict_batch(self, body: BatchRequest, /) -> Response:
            return await answer_batch(body, self.backend)
"""
