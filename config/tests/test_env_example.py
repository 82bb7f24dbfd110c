"""`.env.example` is the list of settings, for people and for conftest.py."""

import re
from pathlib import Path

from config import settings

NOT_FOR_OPERATORS = {"ENV_FILE"}  # for tests
READ_ELSEWHERE = {"SANDBOX"}  # by `manage.py dev`


def test_env_example_lists_every_setting_that_is_read():
    source = Path(settings.__file__).read_text()
    read = set(re.findall(r'(?:env\.\w+|_secrets?)\(\s*"([A-Z_]+)"', source))
    listed = set(re.findall(r"^# ([A-Z_]+)=", (settings.BASE_DIR / ".env.example").read_text(), re.MULTILINE))

    assert listed == (read - NOT_FOR_OPERATORS) | READ_ELSEWHERE
