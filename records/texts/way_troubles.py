"""What is wrong with the way to central, and with the identity by which an agent goes it, by code.

As in ``records.texts.troubles``.
"""

from __future__ import annotations

from collections.abc import Mapping

from records.texts.said import Said

WAY_TROUBLES: Mapping[str, Said] = {
    "as-said": Said("%(said)s", "“%(said)s”"),
    "both": Said("%(first)s; %(second)s", "%(first)s；%(second)s"),
    # making a connection
    "broker-away": Said("broker %(where)s: %(why)s", "MQTT 服务器 %(where)s：%(why)s"),
    "broker-not-asked": Said("broker %(where)s is not asked: %(why)s", "未连接 MQTT 服务器 %(where)s：%(why)s"),
    "name-unknown": Said("its name is not known here (%(said)s)", "本机无法解析其主机名（“%(said)s”）"),
    "broker-certificate": Said(
        "its certificate is not taken: certificate verify failed, %(said)s",
        "其证书未被接受：证书验证失败，“%(said)s”",
    ),
    "check-broker": Said("is it running, and is the address right?", "它是否在运行？地址是否正确？"),
    "check-whose-broker": Said(
        "is this PC's clock right, and is it the plant's broker?", "本机时钟是否正确？它是否是本厂的服务器？"
    ),
    "check-agent-certificate": Said(
        "does it take this agent's certificate (revoked, ended), and is this PC's clock right?",
        "它是否接受本代理的证书（可能已吊销或到期）？本机时钟是否正确？",
    ),
    "put-back": Said(
        "this agent connects once that is right: put it back, or enrol it again",
        "改正后本代理会自动连接：请放回该文件，或重新注册代理",
    ),
    "no-memory": Said(
        "this process may take no more memory (give it more: MemoryMax=, ulimit -v)",
        "本进程已无可用内存（请增加：MemoryMax=、ulimit -v）",
    ),
    "no-files": Said(
        "this process may open no more files (raise LimitNOFILE=, ulimit -n)",
        "本进程不能再打开文件（请调高 LimitNOFILE=、ulimit -n）",
    ),
    "no-threads": Said(
        "this process may start no more threads (give it more: MemoryMax=, TasksMax=, ulimit -v, ulimit -u)",
        "本进程不能再启动线程（请增加：MemoryMax=、TasksMax=、ulimit -v、ulimit -u）",
    ),
    "broker-not-accepting": Said(
        "the broker did not accept the connection within %(limit)s s", "MQTT 服务器在 %(limit)s 秒内未接受连接"
    ),
    "broker-ended-early": Said(
        "the broker ended the connection before it accepted it (%(said)s). So does a broker that refuses this "
        "agent's certificate: revoked, ended, or of another authority. Its log says which; was this agent revoked "
        "at central (then enrol it again), and is this PC's clock right?",
        "MQTT 服务器在接受连接之前就中断了连接（“%(said)s”）。拒绝本代理证书的服务器也会如此：证书已吊销、已到期，"
        "或由其他机构签发。原因见其日志；本代理是否已在中央服务被吊销（如是，请重新注册）？本机时钟是否正确？",
    ),
    "broker-refuses": Said("the broker refused the connection: %(said)s", "MQTT 服务器拒绝了连接：“%(said)s”"),
    "broker-refuses-who": Said(
        "the broker refused the connection: %(said)s; does the broker's password file have this agent? Revoked or "
        "not enrolled there: enrol it again",
        "MQTT 服务器拒绝了连接：“%(said)s”；其口令文件中是否有本代理？若已吊销或未注册，请重新注册",
    ),
    "subscription-refused": Said(
        "the broker refused a subscription: %(said)s", "MQTT 服务器拒绝了订阅：“%(said)s”"
    ),
    "way-ended": Said("the connection ended", "连接已结束"),
    "way-ended-by": Said("the connection ended: %(said)s", "连接已结束：“%(said)s”"),
    "way-mistaken": Said("the connection ended by a mistake: %(said)s", "连接因程序错误而结束：“%(said)s”"),
    "uplink-mistaken": Said(
        "the uplink made a mistake and begins again: %(said)s", "上行通信发生程序错误，已重新开始：“%(said)s”"
    ),
    # what is sent
    "broker-takes-nothing": Said(
        "the broker has not taken a message for %(limit)s s", "MQTT 服务器已 %(limit)s 秒未接收任何消息"
    ),
    "message-not-taken": Said("the broker did not take a message: %(said)s", "MQTT 服务器未接收消息：“%(said)s”"),
    "message-not-taken-do": Said(
        "the broker did not take a message: %(said)s; %(do)s", "MQTT 服务器未接收消息：“%(said)s”；%(do)s"
    ),
    "record-too-large": Said(
        "record %(record)s makes a message of %(size)s bytes, which the broker does not take; %(do)s",
        "记录 %(record)s 的消息有 %(size)s 字节，MQTT 服务器不接收；%(do)s",
    ),
    "record-over-maximum": Said(
        "record %(record)s makes a message of %(size)s bytes, the broker takes %(most)s",
        "记录 %(record)s 的消息有 %(size)s 字节，MQTT 服务器最多接收 %(most)s 字节",
    ),
    "raise-brokers-packet-size": Said(
        "raise the broker's max_packet_size and message_size_limit",
        "请调高 MQTT 服务器的 max_packet_size 和 message_size_limit",
    ),
    "correct-access-list": Said(
        "its access list does not let this agent write there: correct it, or enrol the agent again",
        "其访问列表不允许本代理写入该主题：请更正访问列表，或重新注册代理",
    ),
    "raise-quota": Said(
        "its quota is used up: give this agent more, or find who floods the broker",
        "其配额已用完：请为本代理增加配额，或查找大量占用服务器的客户端",
    ),
    "raise-packet-size": Said(
        "raise its max_packet_size and message_size_limit", "请调高其 max_packet_size 和 message_size_limit"
    ),
    "central-not-subscribed": Said("central is not subscribed at the broker", "中央服务未在 MQTT 服务器上订阅"),
    "central-confirms-nothing": Said(
        "central has confirmed nothing for a while; sending again. Does it serve, and does it believe this "
        "agent's key? Its page Lines shows what it refused",
        "中央服务已有一段时间未确认任何记录；正在重新发送。它是否在运行？是否信任本代理的密钥？"
        "其“产线与代理”页面显示被拒绝的内容",
    ),
    "word-not-noted": Said(
        "what central has confirmed cannot be noted here; sending goes on: %(why)s",
        "无法在本机记下中央服务的确认；发送继续进行：%(why)s",
    ),
    "documents-not-kept": Said(
        "%(count)s of central's documents cannot be kept here, and are forgotten at a restart: %(why)s",
        "中央服务下达的 %(count)s 份文件无法在本机保存，重新启动后会丢失：%(why)s",
    ),
    "telemetry-waits": Said("telemetry waits: %(why)s", "遥测数据等待发送：%(why)s"),
    "session-taken-over": Said(
        "another client took over this agent's session at the broker: is its identity used on two PCs? This agent "
        "waits a while and comes back; central decides which of them may send",
        "另一客户端接管了本代理在 MQTT 服务器上的会话：是否有两台电脑使用同一身份？"
        "本代理稍后会重新连接；由中央服务决定哪一台可以发送",
    ),
    "kept-to-another": Said(
        "another agent runs with this identity and central keeps to that one: records are kept here and not sent. "
        "Find the second PC; give this one an identity of its own, or enrol it again if it is the right one",
        "另一代理正以同一身份运行，中央服务以该代理为准：记录保留在本机，不再发送。"
        "请找到另一台电脑；为本机配置自己的身份，若本机才是正确的一台，请重新注册",
    ),
    # files
    "no-such-file": Said("No such file or directory", "文件不存在"),
    "no-right-to-file": Said("Permission denied", "没有访问权限"),
    "file-wrong": Said("%(file)s: %(why)s", "%(file)s：%(why)s"),
    "request-waits": Said("%(file)s waits for the authority", "%(file)s 正等待证书颁发机构签发"),
    "key-of-another": Said("%(key)s is not the key of %(certificate)s", "%(key)s 不是 %(certificate)s 的密钥"),
    # certificates
    "no-certificate": Said("no certificate in PEM", "其中没有 PEM 格式的证书"),
    "no-private-key": Said(
        "no private key in PEM, or one that asks for a password", "其中没有 PEM 格式的私钥，或私钥需要口令"
    ),
    "weak-private-key": Said("the private key is neither EC nor RSA", "私钥既不是 EC 也不是 RSA"),
    "weak-key": Said(
        "the key is neither EC from 256 bits nor RSA from %(bits)s bits",
        "密钥既不是 256 位以上的 EC，也不是 %(bits)s 位以上的 RSA",
    ),
    "certificate-for-another-key": Said(
        "the certificate is for another key than the one that asked", "证书对应的不是提出申请的密钥"
    ),
    "certificate-of-another": Said(
        "the certificate's common name is %(seen)s, it must be %(wanted)s",
        "证书的通用名称为 %(seen)s，应为 %(wanted)s",
    ),
    "certificate-lacks-use": Said(
        "the certificate's extended key usage does not allow it to be used by %(kind)s",
        "证书的扩展密钥用途不允许用于 %(kind)s",
    ),
    "by-server": Said("a server", "服务器"),
    "by-client": Said("a client", "客户端"),
    "certificate-valid-from": Said(
        "the certificate of %(name)s is valid only from %(day)s on", "%(name)s 的证书自 %(day)s 起才有效"
    ),
    "check-clock": Said("is this machine's clock right?", "本机时钟是否正确？"),
    "certificate-ended": Said("the certificate of %(name)s ended on %(day)s", "%(name)s 的证书已于 %(day)s 到期"),
    "certificate-ended-look": Said(
        "%(why)s: this PC's clock says %(now)s, %(days)s days later. Is that the time? If not, set the clock; if "
        "so, enrol the agent again",
        "%(why)s：本机时钟显示 %(now)s，已过 %(days)s 天。时间是否正确？"
        "若不正确，请校正时钟；若正确，请重新注册代理",
    ),
    "authority-ended": Said("the authority %(name)s is not valid now", "颁发机构 %(name)s 目前无效"),
    "not-signed-by-authority": Said(
        "%(name)s is not signed by the authority that was given", "%(name)s 不是由给定的颁发机构签发"
    ),
    "put-between": Said(
        "wanted is %(issuer)s; put certificates between the two behind the first",
        "需要 %(issuer)s；请将两者之间的证书放在第一张证书之后",
    ),
    # the identity
    "renewal-not-answered": Said(
        "central has not answered the request for another one: its doctor says what it refuses, and why",
        "中央服务未答复更换证书的申请：请在中央服务运行 lotkeeper-central doctor 查看拒绝了什么及原因",
    ),
    "renewal-not-asked": Said(
        "another one is needed before it ends, and central cannot be asked: the broker is not reached. Bring the "
        "way there back; once it has ended, this agent must be enrolled again",
        "到期之前需要新的证书，但无法向中央服务申请：连接不到 MQTT 服务器。"
        "请恢复连接；证书到期后必须重新注册本代理",
    ),
    "certificate-ended-here": Said(
        "it has ended, so the broker lets this agent in no more and central cannot be asked for another one: is "
        "this PC's clock right? Then enrol this agent again. Records are kept here meanwhile",
        "证书已到期，MQTT 服务器不再允许本代理连接，也无法向中央服务申请新证书：本机时钟是否正确？"
        "若正确，请重新注册本代理。其间记录保留在本机",
    ),
    "plant-must-sign": Said(
        "the plant's authority must sign another certificate before %(until)s",
        "工厂的证书颁发机构须在 %(until)s 之前签发新的证书",
    ),
    "folder-unusable": Said("the identity folder cannot be used: %(why)s", "无法使用身份文件夹：%(why)s"),
    "answer-not-taken": Said("central's answer could not be taken: %(why)s", "无法采用中央服务的答复：%(why)s"),
    "central-key-changed": Said(
        "central's key was changed while this agent was away for more than 30 days: enrol it again",
        "本代理离线超过 30 天期间中央服务更换了密钥：请重新注册本代理",
    ),
    "central-key-not-kept": Said(
        "central's new key could not be written down: %(why)s", "无法保存中央服务的新密钥：%(why)s"
    ),
    "no-central-key": Said(
        "none of central's keys is believed any more: enrol the agent again",
        "中央服务的密钥均已不再受信任：请重新注册代理",
    ),
    "clock-before-key": Said(
        "central's key is from %(since)s: this PC's clock is behind", "中央服务的密钥始于 %(since)s：本机时钟偏慢"
    ),
    "keys-readable": Said(
        "others than the owner can read %(files)s: chmod 600, and who copied them?",
        "除所有者外其他人也能读取 %(files)s：请执行 chmod 600，并查明谁复制过",
    ),
}
