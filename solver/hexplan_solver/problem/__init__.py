"""From a `Spec` to a `Problem`: the kinds of stages, their speeds and their counts."""
