"""A container of a rendered pod as arguments of ``podman run``: another image, all else as rendered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.manifests.render import Object


def arguments(pod: Object, container: Object, image: str, mounts: Mapping[str, Path]) -> list[str]:
    """Arguments of podman that start a container as a pod's spec says.

    Args:
        pod: the pod's spec.
        container: one of its containers.
        image: the image to run it in.
        mounts: folders that stand in for volumes, by the volume's name; the others are on memory.
    """
    security = {**pod["securityContext"], **container["securityContext"]}
    found = ["--read-only-tmpfs=false", f"--user={security['runAsUser']}:{security['runAsGroup']}"]
    if security["readOnlyRootFilesystem"]:
        found.append("--read-only")
    if not security["allowPrivilegeEscalation"]:
        found.append("--security-opt=no-new-privileges")
    found += [f"--cap-drop={name.lower()}" for name in security["capabilities"]["drop"]]
    found += [f"--env={variable['name']}={variable['value']}" for variable in container["env"]]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        name, place = mount["name"], mount["mountPath"]
        if name in mounts:
            found.append(f"--volume={mounts[name]}:{place}:{'ro' if mount.get('readOnly') else 'rw'}")
        else:
            size = volumes[name]["emptyDir"]["sizeLimit"].removesuffix("i").lower()
            found.append(f"--tmpfs={place}:size={size},mode=1777")
    memory = container["resources"]["limits"]["memory"].removesuffix("i").lower()
    program, *words = [*container["command"], *container.get("args", [])]
    return [*found, f"--memory={memory}", f"--entrypoint={program}", image, *words]
