"""Stage: activation, valence and dominance of utterances from frames that stay as they are (Li et al., ICASSP 2021, slides)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from trainables.attribute_training import AttributeTraining
from trainables.stage import Context

if TYPE_CHECKING:
    from trainables.emotion_inputs import EmotionInputs
    from trainables.models.attribute_recogniser import AttributeRecogniser
    from trainables.units import Units


class AttributeRegression(AttributeTraining):
    """The attention-based recogniser over given frames, scored on unseen speakers.

    Of the slides' set-ups: over contexts of a CPC network pretrained on another corpus it is preCPC, on the labelled one miniCPC;
    over filterbank frames it is the recogniser alone, on features that nobody has learnt. The CPC network is fixed here (decision:
    the recogniser takes C, 'the output of CPC', and the slides do not say whether the network goes on learning);
    :class:`~trainables.joint_regression.JointRegression` trains both. All other decisions are those of
    :class:`~trainables.attribute_training.AttributeTraining`.

    One worker computes it: on contexts that are there already a step is some tenths of a second on one CPU core.
    """

    label: ClassVar[str] = "attribute regression"

    def model(self, context: Context, inputs: EmotionInputs, training: Units) -> AttributeRecogniser:
        """The recogniser, which standardises its frames by the training utterances."""
        import numpy as np

        model = self.recogniser(self.frames.dimensions, training)
        model.set_statistics("frames", *inputs.statistics(np.concatenate(training.segments))["frames"])
        return model
