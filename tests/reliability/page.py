"""The page of figures: `page.py TALLIES OUT` makes a table of what the tests of reliability counted.

Nothing on the page is typed but the promises: a row is there because a test printed it. Where a test ran in a small and
a full form, the larger count stays.
"""

import json
import platform
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

SECTIONS = {
    "Checkpoints and files": {
        "R1": "A fit that is stopped anywhere and resumed ends with the same bits as one that never stopped: weights, "
              "optimizer, random states, recorded losses, on a CPU with a fixed number of threads.",
        "R2": "A checkpoint holds all that decides how a fit goes on: with any part left out, the end differs.",
        "R3": "`kill -9` at any moment leaves the old file or the new one, never half of one. Each control writes in "
              "place instead; it proves that these kills find what is broken.",
        "R4": "A damaged checkpoint is refused, a damaged cache is built again with a warning; neither is believed.",
        "R5": "A full disk, an I/O error, Ctrl-C or a lack of memory at any call that changes a disk: the old version "
              "or the new one is there and loads. Nothing half-made is left, and the same call works afterwards. "
              "A fault is a distinct operation, call and error.",
        "R6": "Data reaches the disk before its name, and the name before the call ends, so that a loss of power "
              "leaves the old version or the new one.",
        "R7": "Ctrl-C and SIGTERM at a random moment leave no callback and no handler behind, and the next fit works; "
              "with checkpoints it comes to the same end, to the bit.",
        "R8": "Best weights are only loaded from a file that this very fit wrote.",
        "R9": "`lr_find` leaves weights, optimizer, random states and the order of the batches as they were, to the "
              "bit, however it ends.",
        "R11": "Ctrl-C at any moment, in a question or a fit, leaves callbacks, handlers, gradients, autocast and "
               "turns as they were, after a question the weights too; every third moment, the first and last time.",
        "R12": "Threads that ask or train at once get the answers and the models of one thread alone.",
        "R10": "What an earlier version of the library wrote loads in this one and predicts the same.",
    },
    "Places": {
        "P1": "No file of a user is lost at any place that is written: the library replaces only what it wrote.",
        "P2": "A mount, the working folder, and folders of other modes or groups stay what they are when written.",
    },
    "Numbers": {
        "N1": "A loss, gradient or step that is not finite stops the fit at that batch, with the weights before it.",
        "N2": "Too little memory is told with what to change; no weight has moved, and smaller batches then train.",
        "N3": "A prediction does not depend on batch mates, on the size of batches or on their order.",
        "N4": "Padding and control tokens, typed by a user or not, never change another row.",
        "N5": "An empty text gives finite numbers.",
        "N6": "The same seed gives the same bytes, whatever the number of workers.",
        "N7": "What is written for speed agrees with a slow, plain reference.",
    },
    "Input": {"INPUT": "Data as it comes in practice is read rightly, or refused with rows and a way out."},
    "Text rules": {
        "T1": "Each rule takes time that grows with its text, and no faster.",
        "T2": "On ordinary text the rules give the classic output, so that old vocabularies hold.",
        "T3": "A poisonous row is told; the others are read.",
        "T4": "No user can type a control token, and decoding takes bounded memory.",
        "T5": "Tokens to ids and back are the same tokens.",
    },
    "Cache and processes": {
        "C1": "A cache is found again if, and only if, text, rules, tokenizer and schema are the same.",
        "C2": "A tokenisation that is killed comes to the same bytes when it is begun again.",
        "C3": "Several processes on one cache get whole, equal stores; a lock does not outlive its holder.",
        "C4": "A worker that dies is an error with the rows it had, and never a wait without end.",
        "C5": "Forks of a process that has predicted can predict.",
        "C6": "A cache of another version, or a damaged one, is built again and not misread.",
        "C7": "Unknown words make no vocabulary grow.",
    },
    "Loading and sharing": {
        "S1": "Loading runs no code, whatever the file.",
        "S2": "Files of other libraries go through a reader that can do nothing but read.",
        "S3": "Settings are bounded and typed: what is malformed is a coded error.",
        "S4": "Words, settings and weights belong together, and each bit of them is checked.",
        "S5": "Tied weights are stored once and tied again.",
        "S6": "An archive writes nothing outside its folder and cannot fill the disk.",
        "S7": "A download is what was asked for, whole, or it is an error.",
        "S8": "Only names that are expected are fetched.",
        "S9": "Text and labels in a notebook are shown and never run.",
        "S10": "Model cards and tables carry no formulas and no paths from user text.",
        "S11": "A server bounds what it reads and shows no stack.",
        "S12": "Logs hold no text.",
        "S13": "Dependencies are bounded and audited.",
    },
}

LIMITS = """## Limits

* Bitwise holds on one kind of machine, one version of torch and one number of threads. On a GPU the LSTM of cuDNN is
  not bitwise reproducible without its deterministic flags; there a resumed fit ends close by and not the same.
* `fsync` cannot beat a disk that lies about it, and network file systems may not rename atomically.
* Two folders are exchanged in one step on Linux alone. Elsewhere, on file systems that cannot, and in a folder that
  stays itself (a mount, the working folder), the members are moved one by one: a kill in that moment leaves some of the
  new ones, which no loader takes, and the old ones in a hidden folder. A mounted file is written in place.
* Faults are injected where Python calls the system, and in the writer of safetensors before, halfway and after; limits
  on the size of files and a full disk are real. A loss of power is not simulated: the order of the calls is checked.
* Without `CheckpointCallback`, Ctrl-C acts at once, in the middle of a batch too.
* Models remember training text: a language model can recite rows.
"""


def gathered(lines) -> dict:
    """The tallies by promise, in their order; of several with one name, the one with the largest count."""
    found: dict = {}
    for tally in map(json.loads, lines):
        rows = found.setdefault(tally["line"].upper(), {})
        if tally["tried"] >= rows.get(tally["operation"], tally)["tried"]:
            rows[tally["operation"]] = tally
    return found


def cell(text) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def total(tallies: list, what: str) -> int:
    return sum(tally[what] for tally in tallies)


def page(found: dict) -> str:
    """The page, in Markdown."""
    known = [line for promises in SECTIONS.values() for line in promises]
    if unknown := found.keys() - set(known):
        raise SystemExit(f"promises that the page does not know: {sorted(unknown)}")
    tallies = [tally for rows in found.values() for tally in rows.values()
               if not tally["operation"].startswith("control, ")]
    faults = list(found.get("R5", {}).values())
    out = ["# Reliability in figures", "",
           f"Written by `make faults` on {date.today()}: Python {platform.python_version()}, torch "
           f"{version('torch').partition('+')[0]}, {platform.system()}. Each row is printed by a test, which fails "
           "if its number under `lost` is not 0.", "",
           "The words beside a number say what it counts. A control takes the safeguard away, to prove that its test "
           "sees a loss; `blind` counts controls that saw none. The six ways to fit are `fit`, `fit_one_cycle`, "
           "`fine_tune` and others.", "",
           f"In all: {total(tallies, 'tried'):,} cases, {total(tallies, 'lost'):,} lost; of them "
           f"{total(faults, 'tried'):,} faults injected into writing, {total(faults, 'lost'):,} lost.", ""]
    for section, promises in SECTIONS.items():
        if not found.keys() & promises.keys():
            continue
        out += [f"## {section}", ""]
        for line, promise in promises.items():
            if line in found:
                out += [f"**{line.capitalize() if line == 'INPUT' else line}.** {promise}", "",
                        "| what was tried | cases | | lost | |", "| --- | ---: | --- | ---: | --- |"]
                out += [f"| {cell(t['operation'])} | {t['tried']:,} | {cell(t['unit'])} | {t['lost']:,} | "
                        f"{cell(t['bad'])} |" for t in found[line].values()]
                out.append("")
    return "\n".join([*out, LIMITS])


def main(tallies: str, out: str):
    Path(out).write_text(page(gathered(Path(tallies).read_text(encoding="utf-8").splitlines())), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
