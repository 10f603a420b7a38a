"""Nchan, the nginx module, from Debian's packages: one worker, messages kept in its shared memory."""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.contenders.contender import Job, NotHere, Running
from bench.contenders.publishers import HttpPublisher, post
from bench.contenders.serving import free_port, program, scratch, serving
from bench.machine import children

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
CONFIGURATION = """
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 100000;
error_log {directory}/error.log crit;
pid {directory}/nginx.pid;
events {{ worker_connections 50000; multi_accept on; use epoll; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 100000000;
  keepalive_timeout 3600s;
  client_body_temp_path {directory}/body;
  client_body_buffer_size 64k;
  client_max_body_size 1m;
  nchan_shared_memory_size 1024m;
  nchan_message_buffer_length 2000;
  nchan_message_timeout 1h;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location ~ ^/publish/(.+)$ {{ nchan_publisher; nchan_channel_id $1; }}
    location ~ ^/events/(.+)$ {{
      nchan_subscriber eventsource; nchan_channel_id $1; nchan_subscriber_first_message newest;
      nchan_channel_id_split_delimiter ","; nchan_eventsource_ping_interval {heartbeat};
    }}
    location ~ ^/replay/(.+)$ {{
      nchan_subscriber eventsource; nchan_channel_id $1; nchan_subscriber_first_message oldest;
      nchan_channel_id_split_delimiter ","; nchan_eventsource_ping_interval {heartbeat};
    }}
  }}
}}
"""


class Nchan:
    name = "nchan"
    title = "Nchan"
    is_peer = True

    def versions(self) -> str:
        if not MODULE.exists():
            raise NotHere("Debian's packages nginx and libnginx-mod-nchan are not installed")
        asked = [
            program("dpkg-query"),
            "-W",
            "-f",
            "${Package} ${Version} ",
            "nginx",
            "libnginx-mod-nchan",
        ]
        return subprocess.run(asked, capture_output=True, text=True).stdout.strip()

    @contextlib.contextmanager
    def start(self, job: Job) -> Iterator[Running]:
        self.versions()
        port = free_port()
        with scratch() as directory:
            # The worker is another user than the one who starts nginx as root.
            directory.chmod(0o777)
            (directory / "nginx.conf").write_text(
                CONFIGURATION.format(
                    module=MODULE, directory=directory, port=port, heartbeat=job.heartbeat_seconds
                )
            )
            command = [program("nginx"), "-p", str(directory), "-c", str(directory / "nginx.conf")]
            with serving(command, port, directory=directory) as master:
                publisher = HttpPublisher(
                    port,
                    lambda channel, payload: post(port, f"/publish/{channel}", payload.encode()),
                )
                yield Running(
                    port,
                    children(master),
                    publisher,
                    _path,
                    replay=lambda: "/replay/0",
                    window=1500,
                )


def _path(channels: Sequence[int]) -> str:
    return "/events/" + ",".join(map(str, channels))
