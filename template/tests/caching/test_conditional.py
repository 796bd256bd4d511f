"""A client that has the answer already is told so, and not sent it again."""

from datetime import UTC, datetime

import pytest
from fastapi import FastAPI, Response
from httpx2 import AsyncClient

from app.caching.conditional import (
    Conditional,
    etag_of_version,
    held_tag,
    is_not_modified,
    not_modified_headers,
)
from app.errors import ProblemError
from app.etags import etag_of
from tests.waiting import no_hang

STRONG, WEAK = b'"v1"', b'W/"v1"'


class TestETags:
    def test_that_of_a_body_is_strong_and_quoted(self) -> None:
        etag = etag_of(b"tea")

        assert (etag[:1], etag[-1:], len(etag)) == (b'"', b'"', 34)
        assert etag == etag_of(b"tea") != etag_of(b"Tea")

    def test_that_of_a_version_is_weak(self) -> None:
        assert etag_of_version(1).startswith(b'W/"')

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ((1,), (2,)),
            ((1,), ("1",)),
            ((1, 2), (12,)),
            (("a", "bc"), ("ab", "c")),
            ((1, None), (1,)),
            ((datetime(2026, 1, 1, tzinfo=UTC),), (datetime(2026, 1, 2, tzinfo=UTC),)),
        ],
    )
    def test_different_versions_have_different_ones(
        self, one: tuple[object, ...], other: tuple[object, ...]
    ) -> None:
        assert etag_of_version(*one) == etag_of_version(*one) != etag_of_version(*other)


class TestIfNoneMatch:
    @pytest.mark.parametrize(
        ("header", "etag"),
        [
            pytest.param(b'"v1"', STRONG, id="the_same"),
            pytest.param(b'W/"v1"', WEAK, id="the_same_weak_one"),
            pytest.param(b'W/"v1"', STRONG, id="weakened_by_encoding"),
            pytest.param(b'"v1"', WEAK, id="strong_and_ours_is_weak"),
            pytest.param(b"*", STRONG, id="any"),
            pytest.param(b" * ", STRONG, id="any_with_spaces"),
            pytest.param(b'"v0", "v1"', STRONG, id="last_of_a_list"),
            pytest.param(b'"v1","v2"', STRONG, id="first_of_a_list"),
            pytest.param(b'"v0" \t,\t W/"v1" , "v2"', STRONG, id="among_tabs_and_spaces"),
            pytest.param(b',, ,"v1",', STRONG, id="empty_members"),
            pytest.param(b'"a,b"', b'"a,b"', id="a_comma_inside"),
            pytest.param(b'"a,b", "v1"', STRONG, id="after_a_comma_inside"),
            pytest.param(b'"\xe9"', b'"\xe9"', id="no_ascii"),
            pytest.param(b'""', b'""', id="empty_tag"),
            pytest.param(b'v0, "v1"', STRONG, id="after_one_without_quotes"),
            pytest.param(b'"v 0", "v1"', STRONG, id="after_one_with_a_space"),
            pytest.param(b'*, "v1"', STRONG, id="after_a_star_that_is_none"),
        ],
    )
    def test_it_matches(self, header: bytes, etag: bytes) -> None:
        assert is_not_modified([(b"host", b"test"), (b"if-none-match", header)], etag)

    @pytest.mark.parametrize(
        ("header", "etag"),
        [
            pytest.param(b'"v2"', STRONG, id="another"),
            pytest.param(b'"V1"', STRONG, id="another_case"),
            pytest.param(b"", STRONG, id="nothing"),
            pytest.param(b'""', STRONG, id="an_empty_tag"),
            pytest.param(b",", STRONG, id="empty_members"),
            pytest.param(b"v1", STRONG, id="no_quotes"),
            pytest.param(b"'v1'", STRONG, id="single_quotes"),
            pytest.param(b'"v1', STRONG, id="an_open_quote"),
            pytest.param(b'v1"', STRONG, id="a_closing_quote"),
            pytest.param(b'w/"v1"', STRONG, id="a_small_w"),
            pytest.param(b'W/ "v1"', STRONG, id="a_space_after_the_w"),
            pytest.param(b'W"v1"', STRONG, id="no_slash"),
            pytest.param(b'"v1"x', STRONG, id="more_after_it"),
            pytest.param(b'"v1" "v2"', STRONG, id="no_comma_between"),
            pytest.param(b'"\\"v1\\""', STRONG, id="a_quote_inside_a_tag"),
            pytest.param(b'"v0, "v1", "v2"', STRONG, id="between_two_tags"),
            pytest.param(b'"a,"v1",b"', STRONG, id="inside_a_tag"),
            pytest.param(b'"a', b'"a,b"', id="up_to_its_comma"),
            pytest.param(b'*, "v0"', STRONG, id="a_star_in_a_list"),
            pytest.param(b'"*"', STRONG, id="a_star_in_quotes"),
        ],
    )
    def test_it_does_not_match(self, header: bytes, etag: bytes) -> None:
        assert not is_not_modified([(b"if-none-match", header)], etag)

    def test_without_it_nothing_matches(self) -> None:
        assert not is_not_modified([(b"host", b"test"), (b"if-match", STRONG)], STRONG)

    def test_it_may_come_in_several_lines(self) -> None:
        lines = [(b"if-none-match", b'"v0"'), (b"host", b"test"), (b"if-none-match", b'"v1"')]

        assert is_not_modified(lines, STRONG)

    def test_a_line_does_not_go_on_in_the_next(self) -> None:
        lines = [(b"if-none-match", b'"a'), (b"if-none-match", b'b"')]

        for etag in (b'"ab"', b'"a,b"', b'"a, b"'):
            assert not is_not_modified(lines, etag)

    def test_a_star_among_other_lines_is_none(self) -> None:
        lines = [(b"if-none-match", b"*"), (b"if-none-match", b'"v0"')]

        assert not is_not_modified(lines, STRONG)

    def test_the_date_does_not_count(self) -> None:
        since = (b"if-modified-since", b"Fri, 01 Jan 2100 00:00:00 GMT")

        assert not is_not_modified([since], STRONG)
        assert not is_not_modified([since, (b"if-none-match", b'"v0"')], STRONG)

    @pytest.mark.parametrize(
        "header",
        [b" " * 500_000 + b'"', b'"' + b"a," * 250_000, b'"a",' * 100_000 + b'"', b"," * 500_000],
        ids=["spaces", "open_quote", "tags", "commas"],
    )
    def test_a_hostile_one_takes_no_time(self, header: bytes) -> None:
        with no_hang():  # what grows with the square of its length would take minutes
            assert not is_not_modified([(b"if-none-match", header)], STRONG)


class TestNotModified:
    def test_it_repeats_what_a_cache_goes_by(self) -> None:
        repeated = [
            (b"cache-control", b"private"),
            (b"content-location", b"/tea"),
            (b"date", b"Thu, 01 Jan 2026 00:00:00 GMT"),
            (b"etag", STRONG),
            (b"expires", b"0"),
            (b"vary", b"Origin"),
            (b"vary", b"Accept"),
        ]
        others = [
            (b"content-type", b"text/plain"),
            (b"content-length", b"3"),
            (b"content-encoding", b"br"),
            (b"content-language", b"en"),
            (b"last-modified", b"Thu, 01 Jan 2026 00:00:00 GMT"),
            (b"set-cookie", b"session=secret"),
            (b"x-request-id", b"r-1"),
        ]

        assert not_modified_headers(others + repeated) == repeated

    @pytest.mark.parametrize("held", [STRONG, WEAK])
    def test_it_has_the_etag_that_the_client_holds(self, held: bytes) -> None:
        tag = held_tag([(b"if-none-match", b'"v0", ' + held)], STRONG)

        assert not_modified_headers([(b"etag", STRONG)], tag) == [(b"etag", held)]

    def test_to_a_star_it_has_the_answers_own(self) -> None:
        assert held_tag([(b"if-none-match", b"*")], STRONG) == STRONG


class TestRoute:
    """A route that knows a version and is expensive."""

    @pytest.fixture
    def executed(self) -> list[int]:
        """The versions for which the expensive part was executed."""
        return []

    @pytest.fixture
    def app(self, app: FastAPI, executed: list[int]) -> FastAPI:
        @app.api_route("/reports/{version}", methods=["GET", "HEAD", "POST"])
        async def report(
            version: int, response: Response, conditional: Conditional, declared: str | None = None
        ) -> dict[str, object]:
            response.set_cookie("session", "secret")
            response.headers.append("Vary", "Origin")
            response.headers.append("Vary", "Accept")
            if declared is not None:
                response.headers["Cache-Control"] = declared
            conditional.check(version)
            if version == 404:
                raise ProblemError(404, "There is no such report.")
            executed.append(version)
            return {"version": version, "text": "tea " * 500}  # long enough to be encoded

        return app

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_who_has_the_version_gets_a_304_at_no_expense(
        self, client: AsyncClient, executed: list[int], method: str
    ) -> None:
        first = await client.request(method, "/reports/1")
        again = await client.request(
            method, "/reports/1", headers={"If-None-Match": first.headers["etag"]}
        )

        assert (first.status_code, again.status_code) == (200, 304)
        assert executed == [1]

    async def test_who_has_another_version_gets_the_answer(self, client: AsyncClient) -> None:
        old = await client.get("/reports/1")
        new = await client.get("/reports/2", headers={"If-None-Match": old.headers["etag"]})

        assert (new.status_code, new.json()["version"]) == (200, 2)
        assert new.headers["etag"] != old.headers["etag"]

    async def test_the_304_has_the_headers_of_the_200_and_nothing_of_its_content(
        self, client: AsyncClient
    ) -> None:
        full = await client.get("/reports/1")
        short = await client.get("/reports/1", headers={"If-None-Match": "*"})

        assert short.status_code == 304
        for name in ("etag", "cache-control", "vary"):
            assert short.headers[name] == full.headers[name]
        assert short.headers["cache-control"] == "private, no-cache"
        assert short.headers["vary"].startswith("Origin, Accept")
        assert short.content == b""
        assert not {"content-type", "content-length", "set-cookie"} & set(short.headers)

    async def test_a_route_may_declare_its_own_cache_control(self, client: AsyncClient) -> None:
        url = "/reports/1?declared=public,max-age=60"
        full = await client.get(url)
        short = await client.get(url, headers={"If-None-Match": full.headers["etag"]})

        assert short.status_code == 304
        assert full.headers["cache-control"] == "public,max-age=60"
        assert short.headers["cache-control"] == "public,max-age=60"

    async def test_an_error_has_no_etag(self, client: AsyncClient) -> None:
        response = await client.get("/reports/404")

        assert response.status_code == 404
        assert "etag" not in response.headers

    async def test_another_method_is_done(self, client: AsyncClient, executed: list[int]) -> None:
        response = await client.post("/reports/1", headers={"If-None-Match": "*"})

        assert (response.status_code, executed) == (200, [1])
        assert "etag" not in response.headers
