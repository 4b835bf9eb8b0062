from unittest.mock import Mock

from alnb.ui.label.commands import Commands
from alnb.ui.label.shortcuts import ACTIONS, BY_KEY, GROUPS, key_of


def test_no_key_does_two_things():
    keys = [key for action in ACTIONS for key in action.keys]

    assert len(keys) == len(set(keys)) == len(BY_KEY)


def test_every_action_is_one_of_the_app():
    actions = Commands(*(Mock() for _ in range(6))).actions

    assert {action.name.partition(":")[0] for action in ACTIONS} <= actions.keys()


def test_every_group_has_actions_and_words():
    for group in GROUPS:
        assert any(action.group == group and action.words for action in ACTIONS)


def test_keys_are_named_as_on_a_keyboard():
    assert key_of("clean") == "C"
    assert key_of("back") == "Esc"
