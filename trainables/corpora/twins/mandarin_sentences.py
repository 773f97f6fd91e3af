"""What the actors of the acted sentences say: everyday Mandarin that fits any emotion, in pinyin with numbers for the tones.

Pinyin, and not characters, because both synthesisers read it. A module of its own, because a twin's identity includes its texts.
"""

from __future__ import annotations

SENTENCES = [
    "wo3 ming2 tian1 yao4 qu4 bei3 jing1",
    "ta1 gang1 cai2 gei3 ni3 da3 dian4 hua4 le5",
    "jiu4 shi4 xia4 yu3 wo3 ye3 yao4 qu4",
    "che1 zi5 ting2 zai4 men2 kou3",
    "ni3 zen3 me5 hai2 zai4 zhe4 li3",
    "zhe4 jian4 shi4 wo3 yi3 jing1 zhi1 dao4 le5",
    "ta1 men5 quan2 dou1 hui2 lai2 le5",
    "jin1 tian1 wan3 shang5 you3 ke4 ren2",
    "na4 ben3 shu1 fang4 zai4 zhuo1 zi5 shang5",
    "ming2 nian2 wo3 men5 jiu4 yao4 bi4 ye4 le5",
    "qing3 ni3 ba3 men2 guan1 shang5",
    "zhe4 shi4 shui2 xie3 de5 xin4",
    "lao3 shi1 shuo1 xia4 zhou1 kai1 hui4",
    "wo3 de5 yao4 shi5 zai4 ni3 na4 li3",
    "huo3 che1 ba1 dian3 ban4 dao4 zhan4",
    "ta1 you4 huan4 le5 yi2 ge5 gong1 zuo4",
    "wo3 men5 xian1 chi1 fan4 zai4 zou3",
    "tian1 qi4 yu4 bao4 shuo1 ming2 tian1 xia4 xue3",
    "ni3 de5 jie3 jie5 lai2 kan4 ni3 le5",
    "zhe4 tiao2 lu4 yi4 zhi2 tong1 dao4 hai3 bian1",
]
