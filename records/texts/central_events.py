"""Events that central states, and those of its audit stream."""

from __future__ import annotations

from collections.abc import Mapping

from records.texts.said import EventText, Said

TEXTS: Mapping[str, EventText] = {
    "agent-enrolled": EventText(
        Said("Agent enrolled", "代理已注册"),
        Said("The agent may deliver records.", "该代理可以上传记录。"),
    ),
    "document-issued": EventText(
        Said("Document issued", "文件已下发"),
        Said("A signed document was sent to the agents.", "已向代理发送签名文件。"),
    ),
    "exception-opened": EventText(
        Said("Exception opened", "异常已开启"),
        Said("Something that a reviewer must look at.", "审核人必须查看的事项。"),
    ),
    "discrepancy-opened": EventText(
        Said("Discrepancy opened", "差异已开启"),
        Said("Machine, records and ERP do not agree.", "设备、记录与 ERP 不一致。"),
    ),
    "quarantined": EventText(
        Said("Message in quarantine", "消息被隔离"),
        Said("A message could not be read and was set aside.", "有消息无法读取，已另行保存。"),
    ),
    "conflict": EventText(
        Said("Two contents for one record", "同一记录号两种内容"),
        Said("A record number came with another content.", "同一记录号收到了不同内容。"),
    ),
    "request-time-forgotten": EventText(
        Said("Central's clock was ahead", "中央服务时钟曾超前"),
        Said(
            "The agent's last request was taken at a time that is still to come. It is asked anew from now on.",
            "该代理的上一个请求记录于尚未到来的时间，现已作废，其后的请求重新受理。",
        ),
    ),
    "erp-posted": EventText(
        Said("Sent to the ERP", "已发送至 ERP"),
        Said("The ERP took the message.", "ERP 已接受消息。"),
    ),
    "erp-refused": EventText(
        Said("ERP refused the booking", "ERP 拒绝过账"),
        Said("The ERP answered with an error.", "ERP 返回错误。"),
    ),
    "erp-unreachable": EventText(
        Said("ERP not reached", "无法连接 ERP"),
        Said("The ERP did not answer. It is tried again.", "ERP 无应答，将重试。"),
    ),
    "user-added": EventText(
        Said("User added", "新增用户"),
        Said("A person was given an account.", "已为人员开立账户。"),
    ),
    "user-disabled": EventText(
        Said("User disabled", "停用用户"),
        Said("The account cannot be used any more.", "该账户不能再使用。"),
    ),
    "password-changed": EventText(
        Said("Password changed", "修改密码"),
        Said("The account was given a new password.", "该账户已设置新密码。"),
    ),
    "account-locked": EventText(
        Said("Account locked", "账户锁定"),
        Said("Too many wrong passwords in a row.", "连续多次密码错误。"),
    ),
    "token-created": EventText(
        Said("Token created", "创建令牌"),
        Said("A program was given access.", "程序获得访问权限。"),
    ),
    "token-revoked": EventText(
        Said("Token revoked", "撤销令牌"),
        Said("A program lost its access.", "程序失去访问权限。"),
    ),
    "signed-in": EventText(
        Said("Signed in", "登录"),
        Said("A person signed in.", "人员已登录。"),
    ),
    "sign-in-refused": EventText(
        Said("Sign-in refused", "登录被拒绝"),
        Said("User or password were wrong, or it is closed.", "用户名或密码错误，或账户已停用。"),
    ),
    "signed-out": EventText(
        Said("Signed out", "退出登录"),
        Said("A person signed out.", "人员已退出登录。"),
    ),
    "signature-refused": EventText(
        Said("Signature refused", "签名被拒绝"),
        Said("An attempt to sign was refused.", "一次签名尝试被拒绝。"),
    ),
    "central-started": EventText(
        Said("Central started", "中央服务启动"),
        Said("The central service began to work.", "中央服务开始工作。"),
    ),
    "chain-verified": EventText(
        Said("Chain verified", "记录链已校验"),
        Said("All stored records were checked against their chain.", "已按记录链校验全部记录。"),
    ),
    "export-import-begun": EventText(
        Said("Import of records begun", "开始导入记录"),
        Said(
            "An agent's records are taken from a file. How that ended is stated, too.",
            "正在从文件导入代理的记录。其结束情况另有记录。",
        ),
    ),
    "export-import-cut-short": EventText(
        Said("Import of records cut short", "导入记录中断"),
        Said(
            "An import was cut short: it may have brought a part of its file. Importing it again brings the rest.",
            "导入被中断：可能只导入了文件的一部分。重新导入即可补齐其余记录。",
        ),
    ),
    "export-imported": EventText(
        Said("Records imported", "记录已导入"),
        Said(
            "An agent's records came from a file instead of over the network.",
            "代理的记录由文件导入，而非通过网络传来。",
        ),
    ),
    "backup-made": EventText(
        Said("Backup made", "备份已完成"),
        Said(
            "Database, keys and anchors were copied, and the copy proven; damage that it has is named.",
            "数据库、密钥和锚点文件已复制，且副本已校验；如有损坏，均已注明。",
        ),
    ),
    "retention-applied": EventText(
        Said("Retention applied", "已执行保存期限"),
        Said(
            "Content past its retention was given up; keys and hashes stay.",
            "超过保存期限的内容已删除；键和哈希值保留。",
        ),
    ),
    "backup-restored": EventText(
        Said("Backup restored", "备份已恢复"),
        Said(
            "A backup took the place of the database; the lines send again what it lacks.",
            "备份已取代数据库；各产线将重新发送其中缺少的记录。",
        ),
    ),
    "hold-carried-over": EventText(
        Said("Hold carried over", "扣留已沿用"),
        Said(
            "A restore had lost this hold. It stands, unsigned, as its source tells it, until it is released.",
            "此扣留在恢复备份时丢失，现按其来源继续有效（未经签名），直至有人放行。",
        ),
    ),
    "revocation-carried-over": EventText(
        Said("Revocation carried over", "吊销已沿用"),
        Said(
            "A restore had lost that this key was revoked. It is not believed until the agent is enrolled again.",
            "此密钥的吊销在恢复备份时丢失，现继续有效；在重新注册代理之前不再信任该密钥。",
        ),
    ),
    "document-unreached": EventText(
        Said("A line does not hear central", "产线收不到中央服务的内容"),
        Said(
            "The agent says that it holds a newer document than central ever signed, and does not show it.",
            "该代理称其持有比中央服务所签发的更新的文件，却未能出示。",
        ),
    ),
    "certificate-issued": EventText(
        Said("Certificate issued", "已签发证书"),
        Said(
            "The agent was given a TLS certificate for its way to the broker.",
            "代理获得了用于连接消息代理的 TLS 证书。",
        ),
    ),
    "agent-revoked": EventText(
        Said("Agent revoked", "代理已吊销"),
        Said(
            "What this agent signs from now on is not believed; what it sent before stays.",
            "从现在起不再信任该代理签名的内容；此前发送的内容保留。",
        ),
    ),
    "agent-key-changed": EventText(
        Said("Agent has a new signing key", "代理有了新的签名密钥"),
        Said("The former key is believed for 30 days more.", "旧密钥在 30 天内仍被信任。"),
    ),
    "authority-renewed": EventText(
        Said("Central's authority has a new certificate", "中心的证书颁发机构有了新证书"),
        Said(
            "Its key is the same: what it signed before stays good. Broker and central need the new ca.crt.",
            "密钥不变：此前签发的证书仍然有效。消息代理和中心需要新的 ca.crt。",
        ),
    ),
    "central-behind": EventText(
        Said("Central lacks what it confirmed", "中央服务缺少其已确认的记录"),
        Said(
            "An agent goes on behind records that central confirmed and has no more: an older copy was put back.",
            "代理续发的记录之前，有中央服务曾确认但现已缺失的记录，例如恢复了较旧的数据库副本之后。",
        ),
    ),
    "central-key-changed": EventText(
        Said("Central has a new signing key", "中心有了新的签名密钥"),
        Said("The former key is believed for 30 days more.", "旧密钥在 30 天内仍被信任。"),
    ),
}
