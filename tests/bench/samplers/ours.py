"""Our samplers, through the example `sample` of the scheduler: lines of JSON."""

import json
import subprocess

from .space import flat, job


class Ours:
    """Tells how long the sampler took, by its own clock."""

    def __init__(self, binary, algorithm, space, seed, n_trials, n_parallel=1, stopping=None):
        self.child = subprocess.Popen([str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True)
        self.cpu_s = self.wall_s = 0.0
        self.say(job=job(space, algorithm, n_trials, n_parallel, stopping), seed=seed)

    def say(self, **request):
        self.child.stdin.write(json.dumps(request) + "\n")
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline() or '{"error": "it ended"}')
        if "error" in answer:
            raise RuntimeError(f"{self.child.args[0]}: {answer['error']}")
        self.cpu_s += answer.get("cpu_s", 0.0)
        self.wall_s += answer.get("wall_s", 0.0)
        return answer

    @staticmethod
    def trials(answer):
        return [(trial["number"], flat(trial["configuration"])) for trial in answer["trials"]]

    def ask(self):
        trials = self.trials(self.say(ask=1))
        return trials[0] if trials else None

    def tell(self, number, loss):
        self.say(tell=[{"number": number, "value": loss}])

    def fail(self, number):
        self.say(tell=[{"number": number, "failed": None}])

    def end(self, number, loss):
        """Without a loss it was stopped."""
        if loss is None:
            self.say(tell=[{"number": number, "stopped": None}])
        else:
            self.tell(number, loss)

    def report(self, number, step, loss):
        """Which trials are to end."""
        return self.say(report=[{"number": number, "step": step, "value": loss}])["stop"]

    def prefill(self, n, loss):
        """So many random trials that have ended."""
        trials = self.trials(self.say(prefill=n))
        self.say(tell=[{"number": number, "value": loss(values)} for number, values in trials])

    def close(self):
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.wait()
