"""The protocols by name: the papers' own, the corpora's own, and the careful ones beside them."""

from __future__ import annotations

import difflib

from trainables.errors import UserError
from trainables.protocols.protocol import Protocol

SPEAKERS_70_30 = Protocol(
    name="speakers-70-30",
    sentence="70/30 split by speaker, drawn by seed, stratified where a label is the speaker's",
    source="ReCLR, section 3.2: 'randomly split into 70 % and 30 %'; by speaker is our decision, so that nobody is heard twice",
    scheme="drawn",
)
SEGMENTS_70_30 = Protocol(
    name="segments-70-30",
    sentence="70/30 split of SEGMENTS, drawn by seed, stratified by class: SPEAKERS AND RECORDINGS ARE IN TRAINING AND TEST AT "
    "ONCE, as in the paper",
    source="Speech depression recognition based on attentional residual network, section 3.5, step 1: 'Segment the speech data and "
    "expand the sample size to train', with no word of subjects. The share is our reading of Table 5: recalls are whole percents "
    "and accuracies halves of one, so 100 and 100 segments were tested in each task and valence, of some 720 (Table 3's 8,665 "
    "over 12). Ours are as many of each class as chance has, so that accuracy has the majority's as its bar and not one half",
    scheme="drawn",
    group="unit",
)
HELD_OUT_30 = Protocol(
    name="speakers-70-30-held-out",
    sentence="30 % of the speakers held out, drawn once by a seed of their own; the others 70/30 into training and development",
    source="ours, for searches: the test speakers are the same for every seed, and no search ever reads them",
    scheme="drawn",
    dev_fraction=0.3,
    holdout_seed=0,
)
OWN_SPLITS = Protocol(
    name="own-splits",
    sentence="the corpus' own training, development and test set (70/15/15 by speaker, drawn once, where it names none)",
    source="ReCLR, section 3.1 (CMU-MOSEI)",
    scheme="named",
    drawn_if_unnamed=True,
)
DAIC_OFFICIAL = Protocol(
    name="daic-official",
    sentence="AVEC 2017's training, development and test participants",
    source="DAIC-WOZ documentation (AVEC 2017 depression sub-challenge)",
    scheme="named",
)
DAIC_DEV_AS_TEST = Protocol(
    name="daic-dev-as-test",
    sentence="trained on AVEC 2017's training participants, scored on its development participants; the test participants unused",
    source="Climate and Weather, section 3.1: 'results in our paper are reported on the development subset'",
    scheme="named",
    dev=(),
    test=("dev",),
)
DAIC_POOLED_NESTED = Protocol(
    name="daic-pooled-nested",
    sentence="five folds over all labelled participants, drawn by seed; what has to be selected is selected on an inner fold, one "
    "of four, of the participants who are not tested",
    source="ours: 35 development participants are too few to select on and report on at once",
    scheme="k_fold",
    folds=5,
    inner_folds=4,
)
IEMOCAP_5_SESSIONS = Protocol(
    name="iemocap-5-sessions",
    sentence="leave one of the five recording sessions out (two unseen speakers a fold)",
    source="the field's usual protocol for IEMOCAP, which has no official split",
    scheme="leave_one_out",
    group="conversation",
    folds=5,
    inner_folds=4,
)
IEMOCAP_10_SPEAKERS = Protocol(
    name="iemocap-10-speakers",
    sentence="leave one of the ten speakers out; the partner in the same dialogues is trained on",
    source="the field's other protocol for IEMOCAP",
    scheme="leave_one_out",
    folds=10,
    inner_folds=9,
)
IEMOCAP_MIXED_5 = Protocol(
    name="iemocap-mixed-5-fold",
    sentence="five folds of utterances: EVERY SPEAKER AND EVERY DIALOGUE IS IN TRAINING AND TEST, as we read the paper",
    source="Supervised contrastive learning across corpora, section 4.2: 'the two datasets were divided into 5 parts respectively, "
    "leaving one part for testing'; it names neither speakers nor sessions, so parts of utterances is our reading, as with CASIA, "
    "whose four speakers allow no other",
    scheme="k_fold",
    group="unit",
    folds=5,
)
IEMOCAP_IMPROVISED = IEMOCAP_5_SESSIONS.model_copy(
    update={
        "name": "iemocap-5-sessions-improvised",
        "sentence": "leave one of the five recording sessions out, improvised dialogues alone (scripted ones repeat their words)",
        "keep": (("style", ("improvised",)),),
    }
)
CASIA_4_SPEAKERS = Protocol(
    name="casia-4-speakers",
    sentence="leave one of the four speakers out",
    source="ours: four speakers make a five-fold speaker-independent split impossible",
    scheme="leave_one_out",
    folds=4,
    inner_folds=3,
)
CASIA_MIXED_5 = Protocol(
    name="casia-mixed-5-fold",
    sentence="five folds of utterances: EVERY SPEAKER AND EVERY TEXT IS IN TRAINING AND TEST, as in the paper",
    source="Supervised contrastive learning across corpora, section 4: '5-fold cross-validation' with four speakers",
    scheme="k_fold",
    group="unit",
    folds=5,
)
MSP_PODCAST_TEST1 = Protocol(
    name="msp-podcast-test1",
    sentence="the release's Train, Development and Test1 sets",
    source="MSP-Podcast's documentation; the release is part of the corpus' digest",
    scheme="named",
)
MSP_PODCAST_TEST2 = MSP_PODCAST_TEST1.model_copy(
    update={
        "name": "msp-podcast-test2",
        "sentence": "the release's Train, Development and Test2 sets",
        "test": ("test2",),
    }
)
SPEAKERS_5_FOLD = Protocol(
    name="speakers-5-fold",
    sentence="five folds by speaker, drawn by seed, stratified where a label is the speaker's",
    source="ours, for corpora without a split of their own",
    scheme="k_fold",
    folds=5,
    inner_folds=4,
)
SPEAKERS_4_FOLD = Protocol(
    name="speakers-4-fold",
    sentence="four folds by speaker, drawn by seed, stratified where a label is the speaker's",
    source="ours, to join corpora of as few as four speakers with others: every corpus in as many folds as the smallest allows",
    scheme="k_fold",
    folds=4,
    inner_folds=3,
)

PROTOCOLS = {value.name: value for value in list(vars().values()) if isinstance(value, Protocol)}
"""Every protocol by its name."""


def find_protocol(name: str) -> Protocol:
    """The protocol of this name.

    Raises:
        UserError: There is none; the message names those that there are.
    """
    if name not in PROTOCOLS:
        close = difflib.get_close_matches(name, PROTOCOLS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UserError(f"there is no protocol {name!r}; {hint}the protocols are: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
