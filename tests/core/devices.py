"""Descriptions as phones, browsers and switches write them, and how they cross.

Each is a list of lines as in a patch: " " crosses octet by octet, "-" is what the sender wrote and does not cross, "+"
is what stands in its place. The origin, s= and t= are the node's own and are left out. No address here is of a trunk.
"""

from __future__ import annotations

import re
from typing import Final

# An Android phone on VoLTE with video and text: AMR, EVS, preconditions (RFC 3312), AVPF by capability negotiation.
VOLTE = """
 b=AS:41
 b=RR:1537
 b=RS:512
 m=audio 31016 RTP/AVP 127 104 102 96 97
 c=IN IP6 2001:db8:805:1:2::3
 b=AS:41
 a=curr:qos local none
 a=curr:qos remote none
 a=des:qos mandatory local sendrecv
 a=des:qos optional remote sendrecv
 a=conf:qos remote sendrecv
 a=rtpmap:127 EVS/16000/1
 a=fmtp:127 br=5.9-24.4;bw=nb-swb;max-red=0;cmr=1;ch-aw-recv=-1;dtx=0
 a=rtpmap:104 AMR-WB/16000/1
 a=fmtp:104 mode-change-capability=2;max-red=0;octet-align=1;mode-set=0,1,2,3,4,5,6,7,8
 a=rtpmap:102 AMR/8000/1
 a=fmtp:102 octet-align=0;mode-change-period=2;mode-change-neighbor=1;max-red=220;mode-set=0,2,4,7
 a=rtpmap:96 telephone-event/8000
 a=fmtp:96 0-15
 a=ptime:20
 a=maxptime:240
 a=sendrecv
 m=video 31018 RTP/AVPF 109 110
 b=AS:980
 b=TIAS:980000
 a=tcap:1 RTP/AVPF
 a=pcfg:1 t=1
 a=rtpmap:109 H264/90000
 a=fmtp:109 profile-level-id=640C1F;packetization-mode=1;sprop-parameter-sets=Z2QMH6wbGsFQfv/AAA==,aOqPLA==
 a=rtpmap:110 H265/90000
 a=fmtp:110 profile-id=1; level-id=93; sprop-vps=QAEMAf//AWAAAAMAsAAAAwAAAwBdrFkA; tx-mode=SST
 a=imageattr:109 send [x=480,y=640] recv [x=480,y=640]
 a=rtcp-fb:* trr-int 5000
 a=rtcp-fb:* ccm tmmbr smaxpr=120
 a=extmap:7 urn:3gpp:video-orientation
-a=framesize:109 1280-720
 a=3gpp_sync_info:No Sync
 a=rtcp-rsize
 a=sendrecv
 m=text 31020 RTP/AVP 111 112
 a=rtpmap:111 t140/1000
 a=fmtp:111 cps=30
 a=rtpmap:112 red/1000
 a=fmtp:112 111/111/111
"""

# A browser: ICE, DTLS, BUNDLE, simulcast, a data channel.
BROWSER = """
 a=group:BUNDLE 0 1 2
 a=extmap-allow-mixed
-a=msid-semantic: WMS 5c0f2d7a-1111-4aaa-8bbb-0123456789ab
+a=msid-semantic: WMS id1
 m=audio 54400 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
 c=IN IP4 203.0.113.50
-a=rtcp:54401 IN IP4 203.0.113.50
+a=rtcp:54401
-a=candidate:1467250027 1 udp 2122260223 203.0.113.50 46243 typ host generation 0 network-id 1 network-cost 10
+a=candidate:id2 1 udp 2122260223 203.0.113.50 46243 typ host generation 0
-a=candidate:1467250027 2 udp 2122260222 203.0.113.50 46244 typ host generation 0 network-id 1
+a=candidate:id2 2 udp 2122260222 203.0.113.50 46244 typ host generation 0
-a=candidate:99 1 udp 2122260223 8f1d9400-d0dd-4db3-b949-424499e96e2d.local 46243 typ host generation 0
-a=candidate:842163049 1 udp 1677729535 198.51.100.77 46243 typ srflx raddr 10.0.0.5 rport 46243 generation 0
+a=candidate:id3 1 udp 1677729535 198.51.100.77 46243 typ srflx raddr 0.0.0.0 rport 9 generation 0
 a=end-of-candidates
 a=ice-ufrag:8hhY
 a=ice-pwd:asd88fgpdd777uzjYhagZg12
 a=ice-options:trickle renomination
 a=fingerprint:sha-256 D2:B9:31:8F:DF:24:D8:0E:ED:D2:EF:25:9E:AF:6F:B8:34:AE:53:9C:E6:F3:8F:F2:64:15:FA:E8:7F:53:2D:38
 a=setup:actpass
 a=tls-id:91bbf309c0990a6bec11e38ba2933cee
 a=mid:0
 a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
 a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
 a=extmap:12 https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension
 a=sendrecv
-a=msid:5c0f2d7a-1111-4aaa-8bbb-0123456789ab 77777777-2222-4aaa-8bbb-0123456789ab
+a=msid:id1 id4
 a=rtcp-mux
 a=rtpmap:111 opus/48000/2
 a=rtcp-fb:111 transport-cc
 a=fmtp:111 minptime=10;useinbandfec=1
 a=rtpmap:63 red/48000/2
 a=fmtp:63 111/111
 a=rtpmap:126 telephone-event/8000
-a=ssrc:3570614608 cname:4TOk42mSjXCkVIa6
+a=ssrc:3570614608 cname:party
-a=ssrc:3570614608 msid:5c0f2d7a-1111-4aaa-8bbb-0123456789ab 77777777-2222-4aaa-8bbb-0123456789ab
+a=ssrc:3570614608 msid:id1 id4
 m=video 9 UDP/TLS/RTP/SAVPF 96 97 45 118
 c=IN IP4 0.0.0.0
 a=bundle-only
 a=setup:actpass
 a=mid:1
 a=rtpmap:96 VP8/90000
 a=rtcp-fb:96 goog-remb
 a=rtpmap:97 rtx/90000
 a=fmtp:97 apt=96
 a=rtpmap:45 AV1/90000
 a=fmtp:45 level-idx=5;profile=0;tier=0
 a=rtpmap:118 flexfec-03/90000
 a=fmtp:118 repair-window=10000000
 a=rid:hi send
 a=rid:lo send pt=96;max-width=1280;max-height=720
 a=simulcast:send hi;lo
 a=ssrc-group:FID 2231627014 632943048
 m=application 9 UDP/DTLS/SCTP webrtc-datachannel
 c=IN IP4 0.0.0.0
 a=mid:2
 a=sctp-port:5000
 a=max-message-size:262144
"""

# Asterisk with ICE, SDES and Opus, as a WebRTC gateway or a trunk with SRTP writes it; rtpengine's lines are alike.
SWITCH = """
 c=IN IP4 198.51.100.5
 m=audio 17238 RTP/SAVP 107 9 18 8 103 101
 a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj
 a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJPSdFcGdUJShpX1Zj|2^20|1:32
 a=crypto:3 AES_256_CM_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSojNWpVLFJhQX1c|2^31|1:1 WSH=64
 a=crypto:4 AEAD_AES_256_GCM inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVzfQp9CnVubGVzfQp9Cg==
 a=ice-ufrag:0d2d9be43b3b8e3c4fb3d3215b1a0b7e
 a=ice-pwd:4efc7a8b70d5a3d97b8a54ce0e4d6bd1
-a=candidate:Hc6336405 1 UDP 2130706431 198.51.100.5 17238 typ host
+a=candidate:id1 1 UDP 2130706431 198.51.100.5 17238 typ host
-a=candidate:Hc6336405 2 UDP 2130706430 198.51.100.5 17239 typ host
+a=candidate:id1 2 UDP 2130706430 198.51.100.5 17239 typ host
 a=rtpmap:107 opus/48000/2
 a=fmtp:107 useinbandfec=1;maxaveragebitrate=64000;maxplaybackrate=48000;sprop-maxcapturerate=48000;stereo=0;cbr=0
 a=rtpmap:18 G729/8000
 a=fmtp:18 annexb=no
 a=rtpmap:103 G7221/32000
 a=fmtp:103 bitrate=48000
 a=rtpmap:101 telephone-event/8000
 a=fmtp:101 0-16
 a=silenceSupp:off - - - -
 a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics
 a=ptime:20
 a=maxptime:60
 a=sendonly
 a=rtcp:17239
 a=label:audio-0
"""

# A fax gateway that goes over to T.38 and gives its voice up.
FAX = """
 c=IN IP4 198.51.100.7
 m=audio 0 RTP/AVP 8
 a=inactive
 m=image 23458 udptl t38
 a=T38FaxVersion:0
 a=T38MaxBitRate:14400
 a=T38FaxFillBitRemoval
 a=T38FaxTranscodingMMR:0
 a=T38FaxTranscodingJBIG:0
 a=T38FaxRateManagement:transferredTCF
 a=T38FaxMaxBuffer:2000
 a=T38FaxMaxDatagram:400
 a=T38FaxUdpEC:t38UDPRedundancy
 a=T38VendorInfo:0 0 37
"""

# A room system: slides in a second video (RFC 4796), floor control (RFC 4583), far end camera control.
ROOM = """
 c=IN IP4 198.51.100.8
 b=TIAS:6000000
 b=CT:2000
 m=audio 16896 RTP/AVP 96 98 101
 a=rtpmap:96 mpeg4-generic/48000
 a=fmtp:96 streamtype=5; profile-level-id=15; mode=AAC-hbr; config=11B0; SizeLength=13; IndexLength=3; bitrate=64000
 a=rtpmap:98 MP4A-LATM/90000
 a=fmtp:98 profile-level-id=24;object=23;bitrate=64000;config=400024203fc0;cpresent=0
 a=encryption:optional
 a=label:11
 m=video 16898 RTP/AVP 97
 a=rtpmap:97 H264/90000
 a=fmtp:97 profile-level-id=42801F;packetization-mode=1;max-mbps=245000;max-fs=9000;max-rcmd-nalu-size=3456000
 a=content:main
 a=label:12
 m=video 16900 RTP/AVP 97
 a=rtpmap:97 H264/90000
 a=content:slides
 a=label:13
 m=application 16902 UDP/BFCP *
 a=floorctrl:c-s
 a=confid:1
 a=floorid:2 mstrm:13
 a=userid:1
 a=connection:new
 a=setup:actpass
 m=application 16904 RTP/AVP 125
 a=rtpmap:125 H224/4800
"""

DEVICES = {"volte": VOLTE, "browser": BROWSER, "switch": SWITCH, "fax": FAX, "room": ROOM}


# What no two ends have in common: keys, and the sources of media.
_OWN: Final = re.compile(
    r"(?<=inline:)[^| ]+|(?<=a=ice-pwd:).+|(?<=a=ice-ufrag:).+|(?<=a=tls-id:).+|(?<=a=ssrc:)[0-9]+|(?<=:FID ).+"
)


def written(device: str, other: bool = False) -> str:
    """The description as its sender writes it; `other` is one more device of the same make."""
    return f"\nv=0\no=phone 4711 1 IN IP4 198.51.100.9\ns=Call\nt=0 0\n{_lines(device, ' -', other)}\n"


def crossed(device: str, other: bool = False) -> list[str]:
    """What of it the other party gets, behind t=."""
    return _lines(device, " +", other).split("\n")


def _lines(device: str, marks: str, other: bool) -> str:
    kept = [line[1:] for line in DEVICES[device].strip("\n").split("\n") if line[0] in marks]
    return "\n".join(_OWN.sub(lambda found: found[0][::-1], line) if other else line for line in kept)
