"""A span that notes what is done with it."""


class NotedSpan:
    """``outcome`` is None while it is open."""

    def __init__(self, name="request", kind="server", attributes=()):
        self.name, self.kind, self.attributes = name, kind, dict(attributes)
        self.traceparent = f"00-trace-{name}-01"
        self.children = []
        self.outcome = self.problem = None

    def child(self, name, kind, attributes):
        self.children.append(NotedSpan(name, kind, attributes))
        return self.children[-1]

    def note(self, attributes):
        assert self.outcome is None, f"{self.name} has ended"
        self.attributes |= attributes

    def end(self, outcome, problem=""):
        assert self.outcome is None, f"{self.name} has ended"
        self.outcome, self.problem = outcome, problem
