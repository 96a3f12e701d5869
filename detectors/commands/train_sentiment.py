"""`tapewatch train sentiment`: a linear model of labelled texts, or a fine-tuned encoder, into the registry."""

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from detectors.commands import labelled_texts
from detectors.commands.labelled_texts import LabelledTexts
from detectors.model_file import kept
from detectors.sentiment.encoder import base as bases
from detectors.sentiment.encoder import model as encoder
from detectors.sentiment.encoder import training as encoder_training
from detectors.sentiment.encoder.model import EncoderModel
from detectors.sentiment.grouping import groups
from detectors.sentiment.linear import model as linear
from detectors.sentiment.linear import training as linear_training
from detectors.sentiment.linear.model import LinearModel
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

MODEL = "sentiment"


def configure(kinds: Any) -> None:
    """Add the model to the choices of `tapewatch train`. kinds : what argparse's add_subparsers gave."""
    parser = kinds.add_parser(MODEL, help="sentiment of texts, from a labelled file")
    parser.epilog = "example: tapewatch train sentiment --csv phrases.csv --text sentence --labels label --language en"
    parser.add_argument("--csv", type=Path, required=True, metavar="FILE", help="labelled texts, CSV or TSV")
    parser.add_argument("--text", default="", metavar="COLUMN", help="texts (known shapes: by itself)")
    parser.add_argument("--labels", default="", metavar="COLUMN", help="labels (known shapes: by itself)")
    parser.add_argument("--language", default="", help="en, ko, zh-TW, zh (default: by the texts' script)")
    parser.add_argument("--kind", choices=("linear", "encoder"), default="linear", help="default: linear")
    labelled_texts.configure(parser)
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the model here too")
    parser.add_argument("--json", action="store_true", help="print a summary as one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Train, save and describe a model."""
    if args.kind == "encoder" and not args.encoder:
        raise TapewatchError("no encoder to fine-tune", "Name a local folder with --encoder.")
    rows = labelled_texts.read(args.csv, args.text, args.labels, args.language)
    print(f"{len(rows.texts):,} texts, {rows.language}", file=sys.stderr)
    try:
        model = _encoder(args, rows) if args.kind == "encoder" else _linear(args, rows)
    except ValueError as error:
        raise TapewatchError(f"cannot train: {error}", "Give more labelled texts.") from error
    saved = kept(settings.data_path / "models", model)
    if args.out:
        args.out.write_bytes(model.encoded())
    if args.json:
        found = linear.summary(model) if isinstance(model, LinearModel) else encoder.summary(model)
        print(msgspec.json.encode(found | {"saved": str(saved), "seed": args.seed}).decode())
    else:
        page = linear.markdown(model) if isinstance(model, LinearModel) else encoder.markdown(model)
        print(f"{page}\nmodel {model.hash} in {saved}")
    return 0


def _linear(args: argparse.Namespace, rows: LabelledTexts) -> LinearModel:
    model = linear_training.trained(rows.texts, rows.labels, groups(rows.columns), rows.language, args.seed)
    described = msgspec.structs.replace(model.described, card=_told(model.described.card, args, rows))
    return LinearModel(described, model.arrays)


def _encoder(args: argparse.Namespace, rows: LabelledTexts) -> EncoderModel:
    recipe = labelled_texts.recipe_of(args)
    model = encoder_training.trained(
        bases.read(args.encoder),
        rows.texts,
        rows.labels,
        rows.language,
        args.seed,
        recipe,
        lambda line: print(line, file=sys.stderr, flush=True),
    )
    described = msgspec.structs.replace(model.described, card=_told(model.described.card, args, rows))
    return EncoderModel(described, model.arrays)


def _told(card: Any, args: argparse.Namespace, rows: LabelledTexts) -> Any:
    """The card with data and command. card : of either kind"""
    columns = "".join(f" --{name} {value}" for name, value in (("text", args.text), ("labels", args.labels)) if value)
    command = (
        f"tapewatch train sentiment --csv {rows.name}{columns} --language {rows.language} --kind {args.kind} "
        f"--seed {args.seed}"
    )
    if args.kind == "encoder":
        command += f" --encoder {args.encoder.name} --epochs {args.epochs} --frozen {args.frozen} --rate {args.rate:g}"
    return msgspec.structs.replace(card, data=rows.name, data_hash=rows.hash[:16], command=command)
