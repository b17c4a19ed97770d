"""Wrong data given to `fathom fit`: one clear message, exit code 3 (or 1 for a missing path), no output folder."""
import gzip
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from program import ProgramTest  # noqa: E402

ROWS = "".join(f"word{i % 7} other{i % 5},{'yes' if i % 2 else 'no'}\n" for i in range(120))
GOOD = "text,label\n" + ROWS


class WrongInput(ProgramTest):
    def data(self, **files):
        folder = self.folder / "data"
        folder.mkdir()
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            (folder / name.replace("__", ".")).write_bytes(content)
        return folder

    def fit_refused(self, exit_code, says, folder, *flags):
        before = sorted(p.name for p in folder.iterdir())
        talk = self.refused(exit_code, says, "fit", "--data", folder, "--task", "text-classification", "-o", self.folder / "m", *flags)
        self.assertFalse((self.folder / "m").exists(), "no bundle folder is left behind")
        self.assertEqual(sorted(p.name for p in folder.iterdir()), before, "the data folder is untouched")
        self.assertEqual([p.name for p in self.folder.iterdir()], ["data"])
        return talk

    def test_missing_column(self):
        folder = self.data(train__csv=GOOD, test__csv=GOOD)
        self.fit_refused(3, "headline", folder, "--text-columns", "headline")
        self.fit_refused(3, "grade", folder, "--label-column", "grade")

    def test_missing_column_in_the_test_file(self):
        self.fit_refused(3, "label|test", self.data(train__csv=GOOD, test__csv="text,grade\n" + ROWS))

    def test_empty_file(self):
        self.fit_refused(3, r"train\.csv", self.data(train__csv="", test__csv=GOOD))

    def test_header_without_rows(self):
        self.fit_refused(3, r"test\.csv|test", self.data(train__csv=GOOD, test__csv="text,label\n"))

    def test_truncated_gzip(self):
        packed = gzip.compress(GOOD.encode())
        self.fit_refused(3, r"train\.csv\.gz", self.data(train__csv__gz=packed[:len(packed) // 2], test__csv=GOOD))

    def test_not_gzip(self):
        self.fit_refused(3, r"train\.csv\.gz", self.data(train__csv__gz=GOOD, test__csv=GOOD))

    def test_unknown_label(self):
        self.fit_refused(3, "maybe", self.data(train__csv=GOOD, test__csv=GOOD + "a text,maybe\n"))

    def test_ragged_row(self):
        self.fit_refused(3, r"train\.csv", self.data(train__csv=GOOD + "one,two,three,four\n", test__csv=GOOD))

    def test_empty_folder(self):
        self.fit_refused(3, "data", self.data())

    def test_wrong_task(self):
        folder = self.data(train__csv=GOOD, test__csv=GOOD)
        self.refused(3, "image|picture|idx", "fit", "--data", folder, "--task", "image-classification", "-o", self.folder / "m")
        self.assertFalse((self.folder / "m").exists())

    def test_flags_out_of_range(self):
        folder = self.data(train__csv=GOOD, test__csv=GOOD)
        for flags in (["--layers", "65"], ["--hidden", "30", "--heads", "4"], ["--lr", "-1"], ["--steps", "0"], ["--no-such-flag"]):
            self.fit_refused(2, "--", folder, *flags)


if __name__ == "__main__":
    unittest.main()
