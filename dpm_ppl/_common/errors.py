"""The errors of the library: one line with the argument, what was expected, what came, and the remedy."""


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


class InputError(ValueError):
    """An argument that cannot be worked with, found before any long work starts.

    The message is one line: `argument: expected ..., got ...; remedy`. The parts are kept as attributes.
    """

    def __init__(self, argument: str, *, expected: object, got: object, remedy: object):
        self.argument = _one_line(argument)
        self.expected = _one_line(expected)
        self.got = _one_line(got)
        self.remedy = _one_line(remedy)
        super().__init__(f"{self.argument}: expected {self.expected}, got {self.got}; {self.remedy}")


class TrainingError(RuntimeError):
    """Training cannot go on: updates stay non-finite. The message is one line: `failure: remedy`."""

    def __init__(self, failure: str, remedy: str = "check the data"):
        self.failure, self.remedy = failure, remedy
        super().__init__(f"{failure}: {remedy}")
