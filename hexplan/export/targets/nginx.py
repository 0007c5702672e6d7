"""A file for nginx that shares out requests among the replicas."""

from __future__ import annotations

from hexplan.export.deployment import Deployment
from hexplan.export.folder import File
from hexplan.export.names import authority
from hexplan.export.readme import code, readme
from hexplan.export.targets.fronts import fronts, weights_table

NAME = "hexplan.conf"
_READ_TIMEOUT_S = 600


def nginx(deployment: Deployment) -> tuple[File, ...]:
    """Return a file for nginx's `http` block, and a README.

    Its weights are smooth: of any few requests in a row, each replica gets about its share.
    """
    listen = deployment.options.listen
    servers = [
        f"    server {authority(front.address, front.port)} weight={front.weight};"
        for front in fronts(deployment)
    ]
    text = "\n".join(
        [
            "# Replicas of a plan; the weights are its shares of requests.",
            "upstream hexplan {",
            "    zone hexplan 64k;  # all workers count together, so that the shares hold",
            *servers,
            "    keepalive 64;",
            "}",
            "",
            "server {",
            f"    listen {authority(listen.address, listen.port)};",
            "    client_max_body_size 16m;",
            "",
            "    location / {",
            "        proxy_pass http://hexplan;",
            "        proxy_http_version 1.1;",
            '        proxy_set_header Connection "";',
            "        proxy_set_header Host $host;",
            "        proxy_buffering off;  # tokens pass as they come",
            f"        proxy_read_timeout {_READ_TIMEOUT_S}s;",
            "        proxy_next_upstream error;  # nothing that a replica has begun is sent twice",
            "    }",
            "}",
            "",
        ]
    )
    name = deployment.plan.model.name
    sections = [
        weights_table(deployment),
        "## Start it",
        f"Include `{NAME}` in the `http` block of nginx: most packages include all files of"
        " `/etc/nginx/conf.d`.",
        code(f"# cp {NAME} /etc/nginx/conf.d/", "# nginx -t && nginx -s reload"),
        "## See that it is up",
        code(f"$ curl --fail http://{authority(listen.address, listen.port)}/v1/models"),
    ]
    return File(NAME, text), readme(deployment, f"{name} behind nginx", sections)
