"""The OpenAPI document tells clients everything they can get."""

from fastapi import FastAPI


def test_every_answer_has_a_schema(app: FastAPI) -> None:
    for path, operations in app.openapi()["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status != "204":
                    (content,) = response["content"].values()
                    # A route without a return annotation leaves an empty one.
                    assert content["schema"], f"{path} says nothing about its {status}"
