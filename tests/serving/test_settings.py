"""Settings from the environment and the command line."""

from __future__ import annotations

import pytest

from serving.settings import SettingError, Settings


def test_the_command_line_overrides_the_environment() -> None:
    environment = {
        "LIDLOOP_PORT": "9000",
        "LIDLOOP_QUEUE": "3",
        "LIDLOOP_CONF": "0.25",
        "LIDLOOP_MODEL": "",
        "HOME": "/",
    }
    settings = Settings.read(environment, port=9001, model=None)
    assert (settings.port, settings.queue, settings.conf) == (9001, 3, 0.25)
    assert settings.model == ""
    assert Settings.read({}) == Settings()


def test_settings_survive_the_environment() -> None:
    settings = Settings(model="7", port=1, mrd1_suspicious=3.5, watch=2.0, keys="k", workers=3)
    assert Settings.read(settings.environment()) == settings


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"LIDLOOP_PORT": "x"}, "LIDLOOP_PORT='x' is not a whole number"),
        ({"LIDLOOP_PORT": "70000"}, "port must be"),
        ({"LIDLOOP_CONF": "warm"}, "is not a number"),
        ({"LIDLOOP_CONF": "2"}, "conf must be"),
        ({"LIDLOOP_QUEUE": "0"}, "queue must be more than 0"),
        ({"LIDLOOP_PIXELS": "-5"}, "pixels must be more than 0"),
        ({"LIDLOOP_BODY_SECONDS": "nan"}, "body_seconds must be"),
        ({"LIDLOOP_BODY_SECONDS": "inf"}, "body_seconds must be"),
        ({"LIDLOOP_MRD1_SUSPICIOUS": "nan"}, "mrd1_suspicious must be"),
        ({"LIDLOOP_ASYMMETRY": "0"}, "asymmetry must be"),
        ({"LIDLOOP_MRD1_FUNCTIONAL": "500"}, "mrd1_functional must be"),
        ({"LIDLOOP_WATCH": "-1"}, "watch must be 0 or more"),
        ({"LIDLOOP_THREADS": "-3"}, "threads must be 0 or more"),
        ({"LIDLOOP_BACKEND": "torch"}, "onnxruntime or openvino"),
        ({"LIDLOOP_JWKS": "keys.json"}, "JWTs need all of"),
    ],
)
def test_a_wrong_setting_is_named(environment: dict[str, str], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        Settings.read(environment)
