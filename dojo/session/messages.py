"""What teams send to a session, and what they get back: the models of the JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_AT_ONCE = 100  # lights in one message
LightName = Literal["green", "red", "amber", "grey", "part"]
Count = Annotated[int, Field(ge=0, le=1000)]


class Message(BaseModel):
    """A message with these fields and no others: what is not expected is not taken in."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LightIn(Message):
    """The light of one run of one kata: how it went, and nothing of the code.

    `id` is the run's own: one that was sent twice counts once. `ago` is how many seconds before the
    sending the run ended, so that clocks need not agree. `predicted` is what the team expected, and
    `went_back` says that a baby step was not made in time.
    """

    id: Annotated[str, Field(pattern=r"^[0-9a-zA-Z-]{8,64}$")]
    kata: Annotated[str, Field(pattern=r"^k\d\d(_[a-z0-9_]+)?$", max_length=60)]
    light: LightName
    passed: Count
    total: Count
    seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
    ago: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    predicted: LightName | None = None
    went_back: bool = False


class LightsIn(Message):
    """Lights that a team sends together; those of a time without a connection come in one go."""

    lights: Annotated[list[LightIn], Field(min_length=1, max_length=MOST_AT_ONCE)]


class JoinIn(Message):
    """A team that wants to join, or to go on from another machine."""

    code: Annotated[str, Field(max_length=40)]
    team: Annotated[str, Field(max_length=400)]
    token: Annotated[str, Field(max_length=100)] = ""
    key: Annotated[str, Field(max_length=40)] = ""


class Rituals(Message):
    """The rituals in force, which the team's own tool keeps to; 0 minutes: no baby steps."""

    baby_steps: float = 0
    one_spec: bool = False


class JoinOut(Message):
    """What a team needs from then on. `key` lets another machine of the team join."""

    team: str
    token: str
    key: str
    rituals: Rituals


class LightsOut(Message):
    """What became of lights: `stored` is false where the disk did not take them.

    They are shown then, and the team keeps them and sends them again.
    """

    stored: bool
    new: int
    rituals: Rituals
