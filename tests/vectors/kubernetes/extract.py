"""Writes schemas.json: what Kubernetes and two operators publish of the kinds that the chart makes, without its prose.

Run in a folder with the published files, when the chart makes another kind or a newer version is wanted:
  pip install kubernetes-validate==1.37.0
  go mod download github.com/kedacore/keda/v2@v2.21.0 github.com/prometheus-operator/prometheus-operator@v0.85.0
  python extract.py SITE-PACKAGES/kubernetes_validate/kubernetes-json-schema/v1.37.0-local-strict \
    KEDA/config/crd/bases/keda.sh_scaledobjects.yaml \
    OPERATOR/example/prometheus-operator-crd/monitoring.coreos.com_{servicemonitors,prometheusrules}.yaml
All three are under the Apache License 2.0.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

KINDS = {
    "apps/v1 Deployment": "deployment-apps-v1",
    "apps/v1 StatefulSet": "statefulset-apps-v1",
    "batch/v1 CronJob": "cronjob-batch-v1",
    "batch/v1 Job": "job-batch-v1",
    "networking.k8s.io/v1 Ingress": "ingress-networking-v1",
    "networking.k8s.io/v1 NetworkPolicy": "networkpolicy-networking-v1",
    "policy/v1 PodDisruptionBudget": "poddisruptionbudget-policy-v1",
    "v1 ConfigMap": "configmap-v1",
    "v1 PersistentVolumeClaim": "persistentvolumeclaim-v1",
    "v1 Service": "service-v1",
    "v1 ServiceAccount": "serviceaccount-v1",
}
PROSE = ("description", "$id", "$schema", "example", "externalDocs", "title")


def bare(schema: Any) -> Any:
    """Without prose and without what JSON Schema does not know; names of properties stay, whatever they are."""
    if isinstance(schema, list):
        return [bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for key, value in schema.items():
        if key in ("properties", "$defs") and isinstance(value, dict):
            kept[key] = {name: bare(inner) for name, inner in value.items()}
        elif not (key in PROSE and isinstance(value, str)) and not key.startswith("x-kubernetes"):
            kept[key] = bare(value)
    return kept


def strict(schema: Any) -> Any:
    """A custom resource's schema as the server applies it under strict validation: no field that it does not name."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    return found


def references(schema: Any) -> set[str]:
    """Definitions that a schema names."""
    if isinstance(schema, list):
        return set().union(*map(references, schema))
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"].rpartition("/")[2]} if isinstance(schema.get("$ref"), str) else set()
    return own.union(*map(references, schema.values()))


def read(file: Path) -> Any:
    """A published file, its references within one document."""
    return json.loads(re.sub(r'"/api/(_definitions.json)?#/', '"#/', file.read_text()))


def main(published: Path, *custom: Path) -> None:
    """Write schemas.json beside this file."""
    everything = read(published / "_definitions.json")["$defs"]
    kinds = {name: read(published / f"{file}.json") for name, file in KINDS.items()}
    waiting = references(list(kinds.values()))
    definitions: dict[str, Any] = {}
    while waiting:
        name = waiting.pop()
        definitions[name] = everything[name]
        waiting |= references(definitions[name]) - definitions.keys()
    for file in custom:
        found = yaml.safe_load(file.read_text())["spec"]
        served = next(each for each in found["versions"] if each["storage"])
        schema = strict(served["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
        kinds[f"{found['group']}/{served['name']} {found['names']['kind']}"] = schema
    document = {"kinds": bare(kinds), "$defs": bare(definitions)}
    target = Path(__file__).with_name("schemas.json")
    target.write_text(json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
