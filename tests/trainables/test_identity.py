"""The rules of identity: what makes two stages the same computation."""

import importlib
import pkgutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, create_model

import trainables
from tests.toys import Number, Sum
from trainables.errors import UserError
from trainables.identity import NOT_PART_OF_IDENTITY, differences, fingerprint, identity_of
from trainables.stage import Stage, from_config, to_config

DIGESTS = {"mdd": "d" * 16, "mosei": "e" * 16}


def all_stages():
    for module in pkgutil.iter_modules(trainables.__path__):
        importlib.import_module(f"trainables.{module.name}")
    found, queue = set(), [Stage]
    while queue:
        queue += (new := queue.pop().__subclasses__())
        found |= {cls for cls in new if cls.__module__.startswith("trainables.")}
    return sorted(found, key=lambda cls: cls.__name__)


def test_equal_stages_have_one_fingerprint_and_any_changed_setting_another():
    assert fingerprint(Number(value=2.0), DIGESTS) == fingerprint(Number(value=2.0), DIGESTS)
    assert fingerprint(Number(value=2.0), DIGESTS) != fingerprint(Number(value=3.0), DIGESTS)


def test_the_readable_part_names_what_differs_from_the_defaults():
    assert fingerprint(Number(value=0.4), DIGESTS).startswith("Number/value=0.4-")
    assert "value" not in fingerprint(Number(), DIGESTS)


def test_a_changed_upstream_setting_changes_everything_downstream():
    a, b = (Sum(left=Number(value=v), right=Number()) for v in (1.0, 2.0))
    assert fingerprint(a, DIGESTS) != fingerprint(b, DIGESTS)


def test_the_corpus_digest_counts_and_the_role_does_not():
    one = fingerprint(Number(corpus="mdd"), {"mdd": "x" * 16})
    assert one == fingerprint(Number(corpus="mosei"), {"mosei": "x" * 16})
    assert one != fingerprint(Number(corpus="mdd"), {"mdd": "y" * 16})


def test_a_raised_version_is_another_identity(monkeypatch):
    before = fingerprint(Number(), DIGESTS)
    monkeypatch.setattr(Number, "version", 2)
    assert fingerprint(Number(), DIGESTS) != before


SETTINGS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=4))


@given(st.lists(SETTINGS, unique_by=repr))
def test_settings_of_different_type_or_value_never_share_an_identity(values):
    model = create_model("Anything", __base__=Number, setting=(object, None))
    hashes = {fingerprint(model(setting=value), DIGESTS) for value in values}
    assert len(hashes) == len({(type(value), repr(value)) for value in values})


def test_a_setting_without_a_defined_identity_is_refused():
    model = create_model("Odd", __base__=Number, setting=(object, None))
    with pytest.raises(TypeError, match="'setting' is a dict"):
        fingerprint(model(setting={}), DIGESTS)


def test_a_role_without_a_corpus_is_named():
    with pytest.raises(UserError, match="'mdd'"):
        fingerprint(Number(), {})


def test_differences_name_the_place_and_both_values():
    expected, found = identity_of(Number(value=1.0), DIGESTS), identity_of(Number(value=2.0), DIGESTS)
    assert differences(expected, found) == ["settings.value: expected 'float:1.0', found 'float:2.0'"]


def test_a_chain_is_rebuilt_from_its_description():
    chain = Sum(left=Number(value=0.25), right=Number(corpus="mosei"), seed=3)
    assert from_config(to_config(chain)) == chain


def test_a_description_cannot_import_what_is_not_a_stage():
    for path in ("os.system", "trainables.errors.UserError", "trainables.nothing.Here", "antigravity.Stage"):
        with pytest.raises(UserError):
            from_config({"stage": path})


def test_no_stage_has_a_setting_that_cannot_change_its_result():
    stages = all_stages()
    assert len(stages) >= 7
    for stage in stages:
        assert not set(stage.model_fields) & set(NOT_PART_OF_IDENTITY), stage


def test_a_default_is_of_the_type_that_a_given_value_has():
    """A whole number as the default of a fraction would be another setting than the same number given, or read from a file."""
    for cls in all_stages():
        for name, field in cls.model_fields.items():
            if not field.is_required():
                default = field.get_default(call_default_factory=True)
                read = TypeAdapter(field.annotation).validate_python(default)
                assert type(read) is type(default), f"{cls.__name__}.{name}: {default!r}"
