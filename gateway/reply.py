"""A response to an ordinary request, as the bytes that go over the wire and as the headers that ASGI wants.

What a forecast and an error look like is decided elsewhere (``answers``, ``responses``, ``outgoing``); here it is
written down once, in lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.answers import VARY, Answer, matches, validators
from gateway.asgi import problem_headers
from gateway.outgoing import DEFAULT_HEADERS, Header, with_defaults
from gateway.responses import Problem, error_body


class Reply(NamedTuple):
    """A whole response but for what belongs to one request: date, limits, id, time. ``lines`` are those of its head,
    each with its end."""

    status: int
    lines: bytes
    body: bytes


def lines_of(headers: Iterable[Header]) -> bytes:
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])


def headers_in(lines: bytes) -> list[Header]:
    """The other way round."""
    split = (line.partition(b": ") for line in lines.split(b"\r\n")[:-1])
    return [(name, value) for name, _, value in split]


_DEFAULTS: Final = lines_of(DEFAULT_HEADERS)
_VARY: Final = VARY.encode()


class KeptReply:
    """The reply to everyone who asks for a forecast that is kept."""

    __slots__ = ("_lines", "_not_modified", "answer")

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self._not_modified = lines_of([(b"etag", b'"%b"' % answer.tag.encode()), (b"vary", _VARY)]) + _DEFAULTS
        self._lines = _of_the_body(answer.body) + self._not_modified

    def now(self, seconds_left: float, if_none_match: bytes | None) -> Reply:
        """304 to who has the forecast already."""
        if if_none_match is not None and matches(if_none_match, self.answer.tag):
            return Reply(304, _kept_for(self._not_modified, seconds_left), b"")
        return Reply(200, _kept_for(self._lines, seconds_left), self.answer.body)


def reply_to_forecast(answer: Answer, if_none_match: bytes | None) -> Reply:
    """The same for a forecast that was made for this one."""
    given = validators(answer.tag, answer.max_age).items()
    lines = lines_of([(name.lower().encode(), value.encode()) for name, value in given]) + _DEFAULTS
    if if_none_match is not None and matches(if_none_match, answer.tag):
        return Reply(304, lines, b"")
    return Reply(200, _of_the_body(answer.body) + lines, answer.body)


def reply_to_problem(problem: Problem) -> Reply:
    body = error_body(problem)
    return Reply(problem.status, lines_of(with_defaults(problem_headers(problem, body))), body)


def in_one_piece(reply: Reply, server_lines: bytes, own_lines: bytes) -> bytes:
    """All of a response. ``own_lines`` are of this one alone."""
    return b"".join((STATUS_LINE[reply.status], reply.lines, server_lines, own_lines, b"\r\n", reply.body))


def _of_the_body(body: bytes) -> bytes:
    return b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)


def _kept_for(lines: bytes, seconds: float) -> bytes:
    return b"%bcache-control: private, max-age=%d\r\n" % (lines, seconds)
