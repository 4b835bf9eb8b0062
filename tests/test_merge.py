import csv
import dataclasses
import re
import shutil
import tempfile
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
from fakes import FEW, FakeLearner
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from alnb.acquisition import Pick
from alnb.annotation import Answer, Click, Verdict
from alnb.asking import Asker
from alnb.cost import Cost
from alnb.cycle import run
from alnb.dataset import SliceId
from alnb.errors import AlnbError, ConfigError, DataError, SessionError
from alnb.journal import Journal
from alnb.merge import merge
from alnb.oracle import Oracle
from alnb.pool import Pool
from alnb.regions import grid
from alnb.session import Session
from alnb.sessions import fork_session, session_entry
from alnb.state import state_of
from alnb.storage import JOURNAL
from alnb.ui.explore.recording import Recording

REGIONS = grid(SliceId("one", 0), (32, 32), 16)
PICKS = tuple(Pick(region, 1.0) for region in REGIONS[:8])
MORE = tuple(Pick(region, 1.0) for region in grid(SliceId("two", 0), (32, 32), 16)[:4])
VERDICTS = {"i": Verdict.INFECTED, "c": Verdict.CLEAN, "s": Verdict.SKIPPED}
TIMES = count(1_000_000)


def clock():
    return float(next(TIMES))


def answer(region, letter, name="", seconds=2.0):
    clicks = (Click(region.row + 1, region.col + 1),) if letter == "i" else ()
    return Answer(region, VERDICTS[letter], clicks, seconds, name)


def begun(folder, dataset, config=FEW):
    session = Session.open(folder, dataset, config, clock=clock)
    session.ask((*PICKS, *MORE))
    return session


def labelled(folder, dataset, verdicts, name="", config=FEW):
    """Answer the first regions: i infected, c clean, s skipped, a blank not at all."""
    session = begun(folder, dataset, config)
    for region, letter in zip(REGIONS, verdicts, strict=False):
        if letter != " ":
            session.submit(answer(region, letter, name))
    session.close()
    return folder


@pytest.fixture
def three(tmp_path, squares):
    """Ann, Ben and Cleo on four regions; a nameless one would be called by the folder."""
    said = {"ann": "iics", "ben": "icc ", "cleo": "i cc"}
    return [
        labelled(tmp_path / name, squares, verdicts, name.title())
        for name, verdicts in said.items()
    ]


def opened(folder, dataset):
    return Session.open(folder, dataset, clock=clock)


# --- what stands ---


def test_all_answers_of_all_people_are_kept_with_who_gave_them(three, tmp_path, squares):
    merged = merge(three, tmp_path / "all", data=squares.folder)
    state = opened(tmp_path / "all", squares).state

    assert state == merged.state
    assert Counter(one.annotator for one in state.given) == {"Ann": 4, "Ben": 3, "Cleo": 3}
    assert (state.cost.answers, state.cost.nominal_s, state.cost.measured_s) == (10, 30, 20)
    assert merged.sentence == (
        "10 answers of 3 people on 4 regions. 4 regions were answered by several; on 1 they "
        "disagree; 1 of them will be asked first."
    )


def test_what_people_agree_on_stands_and_a_skip_is_no_opinion(three, tmp_path, squares):
    state = merge(three, tmp_path / "all").state

    assert {key: str(one.verdict) for key, one in state.by_key.items()} == {
        REGIONS[0].key: "infected", REGIONS[2].key: "clean", REGIONS[3].key: "clean"
    }  # fmt: skip
    assert state.by_key[REGIONS[0].key].annotator == "Cleo"  # the last


def test_where_people_disagree_nothing_stands_until_somebody_decides(three, tmp_path, squares):
    merge(three, tmp_path / "all")
    session = opened(tmp_path / "all", squares)
    key = REGIONS[1].key

    assert session.state.pending[0] == REGIONS[1]
    both = session.state.disputed[key]
    assert [(one.annotator, str(one.verdict)) for one in both] == [
        ("Ann", "infected"), ("Ben", "clean")
    ]  # fmt: skip

    session.submit(answer(REGIONS[1], "c", "Dr"))
    assert session.journal.events[-1].data["decides"] is True
    assert session.state.by_key[key].annotator == "Dr"
    assert not session.state.disputed

    session.undo()
    assert session.state.pending[0] == REGIONS[1]
    assert session.state.disputed[key] == both
    assert session.redo()[0].annotator == "Dr"


@pytest.mark.parametrize(
    ("verdicts", "rule", "stands"),
    [
        (("i", "c", "c"), "majority", "Cleo"),
        (("c", "i", "c"), "majority", "Cleo"),
        (("i", "i", "c"), "majority", "Ben"),
        (("i", "c", "s"), "majority", None),  # a tie is asked
        (("i", "c", "i"), "last", "Cleo"),
        (("i", "c", "s"), "last", "Ben"),
        (("i", "c", "c"), "Ann", "Ann"),
        (("s", "c", "i"), "Ann", None),  # Ann said nothing
        (("i", "i", " "), "Ann", "Ann"),  # whose clicks stand, too
        (("i", "c", "c"), "ask", None),
        (("s", "s", "s"), "ask", "Cleo"),
    ],
)
def test_a_rule_says_whose_answer_stands(verdicts, rule, stands, tmp_path, squares):
    folders = [
        labelled(tmp_path / name, squares, letter, name)
        for name, letter in zip(("Ann", "Ben", "Cleo"), verdicts, strict=True)
        if letter != " "
    ]
    # somebody must have answered something else, or a session is refused
    state = merge(folders, tmp_path / "all", rule).state

    standing = state.by_key.get(REGIONS[0].key)
    assert (standing and standing.annotator) == stands
    assert len(state.given) == len(folders)
    assert bool(state.disputed) == (stands is None)


def test_a_name_that_nobody_has_is_refused_with_those_there_are(three, tmp_path):
    with pytest.raises(ConfigError, match=r"nobody of that name answered.*Ann, Ben, Cleo"):
        merge(three, tmp_path / "all", "Zoe")
    assert not (tmp_path / "all").exists()


# --- who ---


def test_who_gave_no_name_is_called_by_the_folder(tmp_path, squares):
    folders = [labelled(tmp_path / name, squares, "ic") for name in ("one", "two")]
    state = merge(folders, tmp_path / "all").state

    assert {one.annotator for one in state.given} == {"one", "two"}


def test_simulated_annotators_keep_that_they_are_and_differ_by_session(tmp_path, squares):
    folders = []
    for seed in (0, 1):
        config = FEW.replace(seed=seed, wrong_rate=0.3)
        session = Session.open(tmp_path / f"run-{seed}", squares, config)
        oracle = Oracle(squares, seed, config)
        run(session, FakeLearner(squares, config), oracle, cycles=3)
        session.close()
        folders.append(tmp_path / f"run-{seed}")
    merged = merge(folders, tmp_path / "all")

    assert all(one.simulated for one in merged.state.given)
    assert set(merged.people) == {"run-0", "run-1"}
    assert merged.state.reports == ()  # the curves stay where they are
    assert "others differ in seed" in merged.notes[0]


# --- nothing is lost ---


class Person:
    """Does what a list of numbers says, as on the page."""

    def __init__(self, folder, dataset, name):
        self.session, self.name = begun(folder, dataset), name

    def act(self, what, which):
        session, state = self.session, self.session.state
        region = [pick.region for pick in PICKS][which % len(PICKS)]
        if what in VERDICTS:
            session.submit(answer(region, what, self.name, 1.5 + which))
        elif what == "sweep":
            cells = [one.region for one in MORE if one.region.key not in state.by_key]
            session.sweep([answer(c, "ci"[n == 0], self.name, 0.5) for n, c in enumerate(cells)])
        elif what == "right":
            outline = ((region.row, region.col), (region.row, region.col + 3),
                       (region.row + 3, region.col + 3))  # fmt: skip
            session.submit(Answer(
                region, Verdict.INFECTED, (), 4.0, self.name, (outline,), mask_shown=which > 4,
                verified=which % 2 == 0,
            ))  # fmt: skip
        else:
            getattr(session, what)()


ACTS = st.tuples(
    st.sampled_from([*VERDICTS, "sweep", "right", "undo", "undo", "redo"]), st.integers(0, 7)
)
SAME = {"session": "", "aside": False}


def content(state):
    """Count what was given, with all facts but those that a merge adds."""
    return Counter(str(dataclasses.replace(one, **SAME)) for one in state.given)


@settings(max_examples=5, deadline=None, phases=[Phase.generate])  # to shrink takes minutes
@given(st.lists(st.lists(ACTS, min_size=1, max_size=8), min_size=3, max_size=3))
def test_whatever_three_people_did_nothing_is_lost(squares, acts):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        people = [Person(folder / name, squares, name) for name in ("ann", "ben", "cleo")]
        for person, own in zip(people, acts, strict=True):
            for act in own:
                person.act(*act)
            if not person.session.state.given:  # a session without answers is refused
                person.act("i", 0)
            person.session.close()
        folders = [person.session.journal.path.parent for person in people]
        states = [person.session.state for person in people]
        kinds = Counter(e.kind for p in people for e in p.session.journal.events)

        state = merge(folders, folder / "all").state
        session = opened(folder / "all", squares)

        assert session.state == state
        assert content(state) == sum(map(content, states), Counter())
        assert state.cost == sum((one.cost for one in states), Cost())
        events = session.journal.events
        for kind in ("answered", "undone", "redone"):
            assert sum(one.kind == kind for one in events) == kinds[kind]
        opinions = {}
        for one in states:
            for key, own in one.by_key.items():
                if own.verdict is not Verdict.SKIPPED:
                    opinions.setdefault(key, set()).add(own.verdict)
        assert state.disputed.keys() == {key for key, each in opinions.items() if len(each) > 1}
        assert {r.key for r in state.pending} == set(state.disputed)
        assert state.by_key.keys() | state.disputed.keys() == {
            key for one in states for key in one.by_key
        }
        assert session.undo() == () == session.redo()
        session.close()

        merge(folders[:2], folder / "two")
        again = merge([folder / "two", folders[2]], folder / "again").state
        assert content(again) == content(state)
        assert (again.cost, again.by_key, again.disputed) == (
            state.cost, state.by_key, state.disputed
        )  # fmt: skip


def test_hidden_repeats_stay_pairs_of_one_person(tmp_path, squares):
    folders, states = [], []
    for name in ("ann", "ben"):
        session = begun(tmp_path / name, squares)
        for pick in PICKS[:3]:
            session.submit(answer(pick.region, "i", name))
        session.ask([dataclasses.replace(pick, repeat=True) for pick in PICKS[:3]])
        session.submit(answer(PICKS[0].region, "c", name))
        session.submit(answer(PICKS[1].region, "s", name))
        session.close()
        folders.append(tmp_path / name)
        states.append(session.state)
    state = merge(folders, tmp_path / "all").state

    assert len(state.repeated) == 4
    assert set(state.repeated) == {pair for one in states for pair in one.repeated}
    assert state.by_key[PICKS[0].region.key].verdict is Verdict.CLEAN  # the second answer
    assert state.by_key[PICKS[1].region.key].verdict is Verdict.INFECTED  # not the skip
    assert state.cost == states[0].cost + states[1].cost


# --- forks, copies and merged sessions ---


def test_answers_that_a_fork_shares_with_its_source_count_once(tmp_path, squares):
    ann = labelled(tmp_path / "ann", squares, "iicc", "Ann")
    ben = fork_session(dataclasses.replace(session_entry(ann), data=squares.folder))
    session = opened(ben, squares)
    session.undo()  # of Ann's: in her own session it stands
    session.submit(answer(REGIONS[5], "i", "Ben"))
    session.close()
    state = merge([ben, ann], tmp_path / "all").state

    assert Counter(one.annotator for one in state.given) == {"Ann": 4, "Ben": 1}
    assert state.cost.nominal_s == 15


def test_a_merged_session_adds_only_what_is_new(three, tmp_path, squares):
    merge(three, tmp_path / "all")
    merged = merge([tmp_path / "all", *three], tmp_path / "again")

    assert len(merged.state.given) == 10
    assert all(f"{folder} adds nothing" in " ".join(merged.notes) for folder in three)


def test_a_decision_stands_against_those_it_was_between_and_not_against_others(
    three, tmp_path, squares
):
    merge(three, tmp_path / "all")
    session = opened(tmp_path / "all", squares)
    session.submit(answer(REGIONS[1], "c", "Dr"))
    session.close()
    again = merge([tmp_path / "all", three[0]], tmp_path / "again").state
    assert again.by_key[REGIONS[1].key].annotator == "Dr"

    other = labelled(tmp_path / "dan", squares, " i", "Dan")
    state = merge([tmp_path / "all", other], tmp_path / "more").state
    assert REGIONS[1].key in state.disputed
    assert "Dr" in {one.annotator for one in state.disputed[REGIONS[1].key]}


def test_a_decision_says_nothing_of_agreement(three, tmp_path, squares):
    before = merge(three, tmp_path / "all").people
    session = opened(tmp_path / "all", squares)
    session.submit(answer(REGIONS[1], "c", "Ben"))
    session.submit(answer(REGIONS[0], "c", "Ben"))  # corrects what he saw
    session.close()
    merged = merge([tmp_path / "all", labelled(tmp_path / "dan", squares, "c", "Dan")],
                   tmp_path / "more")  # fmt: skip

    assert {name: merged.people[name] for name in before} == before


# --- going on ---


def test_a_merged_session_is_asked_trained_and_forked_as_any_other(three, tmp_path, squares):
    merge(three, tmp_path / "all", "last")
    session = opened(tmp_path / "all", squares)
    learner = FakeLearner(squares, session.state.config)
    run(session, learner, Oracle(squares), cycles=2)

    assert len(session.state.reports) == 3
    assert session.state.reports[0].cost == session.state.cost.__class__(
        30.0, 20.0, 10, session.state.reports[0].cost.clicks, 10
    )
    given = len(session.state.given)
    assert session.undo()
    assert len(session.state.given) == given - 1
    session.close()
    fork = fork_session(session_entry(tmp_path / "all"))
    assert state_of(Journal(fork / JOURNAL).events).answers == session.state.answers


def test_a_live_session_goes_on_with_the_disputed_regions(three, tmp_path, squares):
    merge(three, tmp_path / "all")
    session = opened(tmp_path / "all", squares)
    asker = Asker(session, Pool(squares, session.state.config))
    session.submit(answer(REGIONS[1], "i"))

    assert asker.ask()
    assert session.state.cycle == 0
    assert session.state.pending[0].key not in session.state.by_key


def test_a_budget_or_a_share_of_one_person_is_not_that_of_all(tmp_path, squares):
    config = FEW.replace(budget_s=6, shares=2, overlap=0.1)
    folders = [
        labelled(tmp_path / f"{n}", squares, "ic", "", config.replace(share=n)) for n in (1, 2)
    ]
    merged = merge(folders, tmp_path / "all")

    found = merged.state.config
    assert (found.budget_s, found.share, found.shares, found.overlap) == (None, 1, 1, 0.0)
    assert merged.notes == ()


# --- what is refused ---


def refused(match, folders, out, error=SessionError, **options):
    before = set(out.parent.rglob("*"))
    with pytest.raises(error, match=match) as caught:
        merge(folders, out, **options)
    assert "\n" not in str(caught.value)
    assert set(out.parent.rglob("*")) == before


def test_sessions_that_do_not_fit_each_other_are_refused(three, tmp_path, squares, unmasked):
    out, (ann, *_) = tmp_path / "all", three
    other = labelled(tmp_path / "other", unmasked, "ic")
    finer = labelled(tmp_path / "finer", squares, "", config=FEW.replace(regions_per_slice=64))
    session = opened(finer, squares)
    session.ask([Pick(grid(SliceId("one", 0), (32, 32), 64)[0], 0.5)])
    session.submit(answer(grid(SliceId("one", 0), (32, 32), 64)[0], "c"))
    session.close()

    refused("Merge sessions of one dataset", [ann, other], out, DataError)
    refused(r"into 16 regions \(grid\), .*finer into 64", [ann, finer], out)


def test_what_can_not_be_merged_is_a_sentence_and_nothing_is_written(three, tmp_path, squares):
    out, (ann, ben, _) = tmp_path / "all", three
    empty = labelled(tmp_path / "empty", squares, "i")
    session = opened(empty, squares)
    session.undo()
    session.close()
    copy = shutil.copytree(ann, tmp_path / "copy")
    broken = shutil.copytree(ben, tmp_path / "broken")
    lines = (broken / JOURNAL).read_text().splitlines(keepends=True)
    (broken / JOURNAL).write_text("".join([*lines[:2], "{}\n", *lines[3:]]))
    newer = shutil.copytree(ben, tmp_path / "newer")
    (newer / JOURNAL).write_text((ben / JOURNAL).read_text().replace('"seed":0', '"sead":0'))
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.docx").touch()

    refused("name two or more", [ann], out)
    refused("named 2 times", [ann, ben, tmp_path / "ann" / ".." / "ann"], out)
    refused("copy is a copy of", [ann, copy], out)
    refused("holds no answer yet", [ann, empty], out)
    refused("holds no session", [ann, tmp_path / "nowhere"], out)
    refused(r"broken.*journal\.jsonl, line 3", [ann, broken], out)
    refused("newer: unknown setting sead", [ann, newer], out)
    refused("holds a session already", [ann, ben], tmp_path / "cleo")
    refused(r"holds thesis\.docx", [ann, ben], tmp_path / "theirs")
    refused("is a file", [ann, ben], tmp_path / "theirs" / "thesis.docx")


def test_a_session_that_another_process_writes_is_refused(three, tmp_path):
    import json
    import os

    from alnb.journal import HOST, began

    parent = os.getppid()
    mark = {"token": "x", "pid": parent, "began": began(parent), "host": HOST}
    (three[1] / "journal.owner").write_text(json.dumps(mark))

    refused("is open in another window or run", three, tmp_path / "all")


def test_a_session_that_was_left_open_on_another_computer_is_merged_and_named(three, tmp_path):
    (three[1] / "journal.owner").write_text('{"token": "x", "pid": 7, "host": "ward-3"}')

    assert "last open on the computer ward-3" in merge(three, tmp_path / "all").notes[0]


def test_a_region_that_is_not_in_the_dataset_names_the_session(three, tmp_path):
    path = three[2] / JOURNAL
    path.write_text(path.read_text().replace("one/0/0,0,8,8", "one/9/0,0,8,8"))

    refused("cleo: line .* there is no region one/9", three, tmp_path / "all", AlnbError)


def test_a_disputed_region_that_is_not_in_the_dataset_is_said_at_opening(three, tmp_path, squares):
    merge(three, tmp_path / "all")
    path = tmp_path / "all" / JOURNAL
    *lines, last = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, last.replace("one/0/0,8", "one/9/0,8")]))

    with pytest.raises(SessionError, match="there is no region one/9"):
        opened(tmp_path / "all", squares)


def test_a_disk_that_is_full_leaves_no_half_a_session(three, disk):
    disk.fill()
    with pytest.raises(AlnbError, match=r"No space left|no room"):
        merge(three, disk.path / "all")
    disk.free()
    assert not Journal(disk.path / "all" / JOURNAL).events
    assert merge(three, disk.path / "all").state.given


def test_the_tables_lie_beside_the_journal(three, tmp_path):
    merge(three, tmp_path / "all")
    lines = (tmp_path / "all" / "agreement.csv").read_text().splitlines()

    assert lines[0].startswith("first,second,regions,agreed,kappa")
    assert lines[1].startswith("Ann,Ben,3,2")
    assert (tmp_path / "all" / "annotators.csv").read_text().count("\n") == 4


def test_the_command_says_how_far_people_agree_and_the_export_names_them(
    three, tmp_path, squares, command_line
):
    out = tmp_path / "all"
    status, said, _ = command_line("merge", *three, "--out", out, "--conflicts", "majority")
    assert status == 0
    assert re.search(r"\nAnn +Ben +3 +67 % ", said)
    assert f"Next: alnb label {squares.folder} --session {out}" in said
    session = opened(out, squares)
    session.submit(answer(session.state.pending[0], "i", "Dr"))
    session.close()

    assert command_line("export", out, "--out", tmp_path / "export")[0] == 0
    with (tmp_path / "export" / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["annotator"] for row in rows) == {"Ann": 4, "Ben": 3, "Cleo": 3, "Dr": 1}
    assert sum(row["stands"] == "True" for row in rows) == 4  # one a region
    assert [row["annotator"] for row in rows if row["decides"] == "True"] == ["Dr"]
    recording = Recording.open(out)
    assert len(recording.steps[0].answers) == 4

    status, _, said = command_line("merge", *three, "--out", out)
    assert (status, said.count("\n")) == (1, 1)
