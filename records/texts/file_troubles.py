"""What is wrong with a configuration file, by code: what is common to all of them.

What one kind of file alone can have wrong is told in English, quoted (``as-said``).
"""

from __future__ import annotations

from collections.abc import Mapping

from records.texts.said import Said

FILE_TROUBLES: Mapping[str, Said] = {
    "at-place": Said(
        "%(file)s:%(line)s:%(col)s: %(path)s: %(why)s", "%(file)s 第 %(line)s 行第 %(col)s 列，%(path)s：%(why)s"
    ),
    "file-not-read": Said("cannot be read: %(said)s", "无法读取：“%(said)s”"),
    "check-path": Said("check the path and its rights", "请检查路径及其权限"),
    "no-yaml": Said("this is no valid YAML: %(said)s", "不是有效的 YAML：“%(said)s”"),
    "file-empty": Said("the file is empty", "文件为空"),
    "key-missing": Said("`%(key)s` is missing", "缺少 `%(key)s`"),
    "key-unknown": Said("unknown key `%(key)s`", "未知的键 `%(key)s`"),
    "no-known-kind": Said("%(value)s is no known %(key)s", "%(value)s 不是已知的 %(key)s"),
    "not-one-of": Said("%(value)s is not one of %(known)s", "%(value)s 不在可选值之中：%(known)s"),
    "kind-needed": Said("%(kind)s is needed, found %(value)s", "此处需要%(kind)s，实为 %(value)s"),
    "text-needed": Said("a text is needed, %(value)s is none", "此处需要文本，%(value)s 不是文本"),
    "text-empty": Said("a text is needed, this one is empty", "此处需要文本，实为空"),
    "quote-it": Said('put it in quotes: "%(value)s"', '请加引号："%(value)s"'),
    "did-you-mean": Said("did you mean `%(word)s`?", "是否应为 `%(word)s`？"),
    "known-here": Said("known here: %(words)s", "此处可用：%(words)s"),
    "one-of": Said("one of %(words)s", "可选：%(words)s"),
    "no-match": Said("%(value)s does not match %(pattern)s", "%(value)s 不符合 %(pattern)s"),
    # kinds of values
    "a-text": Said("a text", "文本"),
    "a-whole-number": Said("a whole number", "整数"),
    "a-number": Said("a number", "数字"),
    "a-finite-number": Said("a finite number", "有限的数字"),
    "true-or-false": Said("true or false", " true 或 false "),
    "a-list": Said("a list", "列表"),
    "a-mapping": Said("a mapping (lines of `key: value`)", "映射（多行 `键: 值`）"),
}
