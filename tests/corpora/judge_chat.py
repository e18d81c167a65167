"""Chat templates in the shapes of well-known model families, for the ordinary repositories."""

from __future__ import annotations

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ "
    "'<|im_start|>system\nYou are a "
    "helpful assistant.<|im_end|>\n' }}{% endif %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEMPLATES = {
    "chatml": CHATML,
    "llama-2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = "
    "messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ "
    "raise_exception("
    "'Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and "
    "system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + "
    "message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token "
    "+ '[INST] ' "
    "+ content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' "
    "+ eos_token "
    "}}{% endif %}{% endfor %}",
    "llama-3": "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
    "'<|start_header_id|>' "
    "+ message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 "
    "== 0 %}{% set "
    "content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    "llama-3.1-date": "{{- bos_token }}\n{%- if not date_string is defined %}\n    {%- if strftime_now is "
    "defined %}\n        "
    "{%- set date_string = strftime_now('%d %b %Y') %}\n    {%- else %}\n        {%- set date_string = '26 Jul "
    "2024' %}\n    "
    "{%- endif %}\n{%- endif %}\n{{- 'Cutting Knowledge Date: December 2023\n' }}\n{{- 'Today Date: ' + "
    "date_string + '\n\n' "
    "}}\n{%- for message in messages %}{{- message['content'] }}{%- endfor %}",
    "gemma": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' "
    "%}{% else %}"
    "{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + "
    "'<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}",
    "zephyr": "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + "
    "message['content'] + "
    "eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token "
    "}}\n{% elif "
    "message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if "
    "loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "qwen-tools": "{%- if tools %}\n    {{- '<|im_start|>system\\n' }}\n    {{- \"# Tools\\n\\nYou may call "
    "one or more "
    "functions to assist with the user query.\\n\\nYou are provided with function signatures within "
    "<tools></tools> XML "
    'tags:\\n<tools>" }}\n    {%- for tool in tools %}\n        {{- "\\n" }}\n        {{- tool | tojson }}\n   '
    " {%- endfor "
    '%}\n    {{- "\\n</tools>\\n\\nFor each function call, return a json object with function name and '
    "arguments within "
    "<tool_call></tool_call> XML tags\" }}\n{%- endif %}\n{%- for message in messages %}\n{{- '<|im_start|>' + "
    "message.role "
    "+ '\\n' + message.content + '<|im_end|>' + '\\n' }}\n{%- endfor %}",
    "mistral": "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + "
    "message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + "
    "eos_token}}{% else "
    "%}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
    "deepseek-think": "{% set ns = namespace(is_first=false, system_prompt='') %}{%- for message in messages %}{%- if "
    "message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor "
    "%}{{bos_token}}"
    "{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'assistant' and "
    "message['content'] is not "
    "none %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = "
    "content.split('</think>')"
    "[-1] %}{% endif %}{{'<|Assistant|>' + content}}{%- endif %}{%- endfor %}{% if add_generation_prompt "
    "%}{{'<|Assistant|>"
    "<think>\\n'}}{% endif %}",
    "phi": "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'system') %}{{'<|system|>' + '\n' + "
    "message['content'] + '<|end|>' + '\n'}}{% else %}{{'<|' + message['role'] + '|>' + '\n' + message['content'] + "
    "'<|end|>' + '\n' }}{% endif %}{% endfor %}",
    "command-r-macro": "{%- macro document_turn(documents) -%}\n{%- for doc in documents %}\n<doc>{{ "
    "doc['title'] }}: {{ "
    "doc['text'] }}</doc>\n{%- endfor %}\n{%- endmacro %}\n{{ document_turn(documents or []) }}{% for m in "
    "messages %}<|START"
    "_OF_TURN_TOKEN|>{{ m.content }}<|END_OF_TURN_TOKEN|>{% endfor %}",
    "vision": "{% for message in messages %}{% if message['content'] is string %}{{ message['content'] }}{% "
    "else %}{% for "
    "content in message['content'] %}{% if content['type'] == 'image' or 'image' in content or 'image_url' in "
    "content %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% "
    "endfor %}"
    "{% endif %}{% endfor %}",
}
