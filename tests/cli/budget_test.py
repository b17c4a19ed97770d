"""`fathom run --budget`: the threshold or the depth that keeps to it, what the user is told, and what is refused."""
import hashlib
import json
import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import ProgramTest, fresh, run  # noqa: E402

TEXTS = ["the quick brown fox", "pack my box", "jumps over the lazy dog with five dozen jugs"]
POINTS = [(2.0, 300000, 6, 1.0), (0.6, 200000, 4, 0.99), (0.5, 150000, 3, 0.97), (0.0, 60000, 1, 0.8)]


class Budget(ProgramTest):
    def fathom_json(self, bundle, change):
        path = bundle / "fathom.json"
        fathom = json.loads(path.read_text())
        fathom.pop("sha256", None)  # changed by hand
        change(fathom)
        path.write_text(json.dumps(fathom))
        return fathom

    def with_table(self):
        bundle = self.bundle()
        points = [{"lambda": l, "macs": m, "depth": d, "agreement": a, "exits": [0, 0, 0, 0, 0, 1]} for l, m, d, a in POINTS]
        self.fathom_json(bundle, lambda f: f.update(budget_table={"score": "confidence", "n": 100, "points": points}))
        return bundle

    def answers(self, bundle, *flags):
        done = self.good("run", bundle, *TEXTS, "--json", *flags)
        return self.json_lines(done), done.stderr.decode()

    def costs(self, bundle, **change):
        machine = json.loads(self.good("doctor", "--json").stdout)
        times = [{"lambda": l, "macs": m, "ms_batch1": m / 1e5} for l, m, _, _ in POINTS]
        costs = {"format": 1, "cpu": machine["cpu"], "tier": machine["tier"], "threads": 1, "systems": [], "thresholds": times}
        (bundle / "costs.json").write_text(json.dumps({**costs, **change}))

    def test_macs_choose_the_most_cautious_threshold_within(self):
        bundle = self.with_table()
        for budget, lam in (("macs=50%", "0.5"), ("macs=150000", "0.5"), ("macs=70%", "0.6"), ("macs=20%", "0")):
            got, talk = self.answers(bundle, "--budget", budget)
            self.assertEqual(got, self.answers(bundle, "--lambda", lam)[0], budget)
            self.assertIn(f"budget {budget}: lambda {lam}", talk)
        talk = self.answers(bundle, "--budget", "macs=50%")[1]
        for words in ("150 kMAC", "50.0 % of full depth", "mean depth 3.00", "97.00 % agree"):
            self.assertIn(words, talk)
        for budget in ("macs=100%", "macs=1e12"):
            got, talk = self.answers(bundle, "--budget", budget)
            self.assertEqual(got, self.answers(bundle, "--full-depth")[0])
            self.assertIn("full depth", talk)
        self.assertIn("macs=20%", self.refused(2, "cheapest.*20 % of full depth", "run", bundle, "--budget", "macs=5%", "x"))

    def test_milliseconds_need_times_of_this_machine(self):
        bundle = self.with_table()
        self.assertIn("fathom eval", self.refused(3, "costs.json", "run", bundle, "--budget", "ms=2", "x"))
        self.costs(bundle, cpu="another one")
        self.assertIn("fathom eval", self.refused(3, "another one", "run", bundle, "--budget", "ms=2", "x"))
        self.costs(bundle, threads=64)
        self.refused(3, "64 threads", "run", bundle, "--budget", "ms=2", "x", "--threads", "1")
        self.costs(bundle, thresholds=[])
        self.refused(3, "fewer than two", "run", bundle, "--budget", "ms=2", "x")
        (bundle / "costs.json").write_text("{broken")
        self.refused(3, "not valid JSON", "run", bundle, "--budget", "ms=2", "x")
        self.costs(bundle)
        got, talk = self.answers(bundle, "--budget", "ms=1.6", "--threads", "1")
        self.assertEqual(got, self.answers(bundle, "--lambda", "0.5", "--threads", "1")[0])
        self.assertIn("1.5 ms, full depth 3 ms", talk)
        self.refused(2, "fastest.*0.6 ms", "run", bundle, "--budget", "ms=0.5", "x", "--threads", "1")

    def test_megabytes_bound_the_depth(self):
        bundle = self.bundle("base")
        self.good("run", bundle, "x")
        talk = self.refused(2, "even one layer", "run", bundle, "--budget", "mb=1", "x")
        least = float(re.search(r"at least mb=([0-9.]+)", talk).group(1))
        for more, depth in ((0, 1), (60, 3)):
            out, talk, _, peak = fresh("run", bundle, *TEXTS, "--json", "--budget", f"mb={least + more}")
            self.assertTrue(all(1 <= json.loads(line)["depth"] <= depth for line in out.splitlines()), out)
            self.assertLessEqual(peak, (least + more) * 1e6)
            self.assertIn(f"at most {depth} of 12 layers", talk)
        got, talk = self.answers(bundle, "--budget", "mb=100000")
        self.assertEqual(got, self.answers(bundle)[0])

    def test_what_is_refused(self):
        bundle = self.bundle()
        talk = self.refused(3, "budget_table is not there", "run", bundle, "--budget", "macs=50%", "x")
        self.assertIn("fathom certify", talk)
        for budget in ("macs=", "macs=-1", "foo=3", "macs=50", "macs=150%", "ms=x", "mb"):
            self.refused(2, "budget", "run", bundle, "--budget", budget, "x")
        self.refused(2, "excludes", "run", bundle, "--budget", "macs=50%", "--lambda", "0.5", "x")
        self.refused(2, "excludes", "run", bundle, "--budget", "macs=50%", "--full-depth", "x")
        self.fathom_json(bundle, lambda f: f.update(budget_table={"score": "confidence", "n": 1, "points": [1]}))
        self.refused(3, "budget_table", "run", bundle, "--budget", "macs=50%", "x")
        self.assertIn("--budget", self.good("help", "run").stdout.decode())

    def test_a_certificate_covers_its_own_threshold_alone(self):
        bundle = self.with_table()
        fathom = json.loads((bundle / "fathom.json").read_text())
        policy = {key: value for key, value in fathom["policy"].items() if key != "lambda"}
        text = "".join(f"{name} {fathom['files'][name]['sha256']}\n" for name in sorted(fathom["files"]))
        text += "null" + json.dumps(policy, separators=(",", ":")) + "fp32"
        tier = json.loads(self.good("doctor", "--json").stdout)["tier"]
        certificate = {"lambda": fathom["policy"]["lambda"], "subject": hashlib.sha256(text.encode()).hexdigest(), "precision": "fp32",
                       "loss": "consistency", "delta": 0.01, "alpha": 0.05, "spent": 0.05, "n": 400, "losses": 0, "p_value": 0.99**400,
                       "numerics": re.sub("_.*", "", tier)}
        sealed = json.dumps(certificate, separators=(",", ":"), sort_keys=True)
        certificate["seal"] = hashlib.sha256(sealed.encode()).hexdigest()
        self.fathom_json(bundle, lambda f: f.update(certificate=certificate))
        facts = json.loads(self.good("info", bundle, "--json").stdout)["certificate"]
        self.assertEqual(facts["state"], "holds", facts)
        self.assertIn("independently", facts["supposes"])
        answers, talk = self.answers(bundle)
        self.assertIn("at most 1 % of answers differ from full depth's, with confidence 95 %, if new inputs come, independently", talk)
        self.assertEqual({answer["certificate"] for answer in answers}, {"holds"})
        # On another machine's numbers it is not this one's, edited it does not hold; both are said once, and by every answer.
        other = "ref" if tier != "ref" else None
        if other:
            answers, talk = self.answers(bundle, "--tier", other)
            self.assertEqual(talk.count("not this machine's"), 1, talk)
            self.assertEqual({answer["certificate"] for answer in answers}, {"not this machine's"})
            self.assertIn(certificate["numerics"], json.loads(self.good("info", bundle, "--json", "--tier", other).stdout)["certificate"]["restore"])
        for claim in ({"delta": 1e-6}, {"alpha": 1e-9}, {"n": 10**9}, {"losses": 1}, {"p_value": 0}, {"loss": "harm"}, {"lambda": 0.01}, {"data": "x"}):
            edited = self.fathom_json(bundle, lambda f: f.update(certificate={**certificate, **claim}))
            self.assertIn("does not hold", json.loads(self.good("info", bundle, "--json").stdout)["certificate"]["state"], claim)
            answers, talk = self.answers(bundle)
            self.assertEqual(talk.count("does not hold"), 1, talk)
            self.assertTrue(all("does not hold" in answer["certificate"] for answer in answers), edited["certificate"])
        self.fathom_json(bundle, lambda f: f.update(certificate=certificate))
        for flags, covered in (((), True), (("--full-depth",), True), (("--budget", "macs=100%"), True), (("--budget", "macs=50%"), True),
                               (("--budget", "macs=70%"), False), (("--lambda", "0.9"), False), (("--budget", "macs=20%"), False)):
            talk = run("run", bundle, *TEXTS, *flags).stderr.decode()
            self.assertEqual("does not cover this run" in talk, not covered, flags)


if __name__ == "__main__":
    unittest.main()
