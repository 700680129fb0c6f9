#!/usr/bin/env bash
# Makes the seeds of the fuzz targets: a tone of a quarter of a second in every form that ffmpeg writes. Needs ffmpeg.
# Seeds have an extension and are understood; what a fuzzer found is kept beside them, without one.
set -euo pipefail
cd "$(dirname "$0")/corpus"
mkdir -p audio wave au avi mpeg mp4 ogg

tone() { # FILE OPTION...
    local file=$1
    shift
    ffmpeg -nostdin -v error -y -f lavfi -i sine=440:duration=0.25 -bitexact "$@" "$file"
}
picture=(-f lavfi -i color=black:size=16x16:rate=4:duration=0.25 -shortest)

for codec in pcm_u8 pcm_s16le pcm_s24le pcm_s32le pcm_f32le pcm_f64le pcm_alaw pcm_mulaw adpcm_ima_wav adpcm_ms; do
    tone "wave/$codec.wav" -ar 8000 -c:a "$codec"
done
tone wave/stereo.wav -ar 8000 -ac 2
tone wave/rf64.wav -ar 8000 -rf64 always
tone wave/mp3.wav -ar 16000 -b:a 16k -c:a libmp3lame
tone wave/wave64.w64 -ar 8000
for codec in pcm_s8 pcm_s16be pcm_s24be pcm_f64be pcm_alaw; do
    tone "au/$codec.au" -ar 8000 -c:a "$codec"
done
tone avi/mp3.avi "${picture[@]}" -ar 16000 -b:a 16k -c:a libmp3lame -c:v mpeg4
tone avi/pcm.avi -ar 8000 -c:a pcm_s16le
tone mpeg/layer2.mp2 -ar 16000 -b:a 16k
tone mpeg/lame.mp3 -ar 44100 -b:a 32k
tone mpeg/bare.mp3 -ar 8000 -b:a 16k -write_xing 0 -id3v2_version 0
tone mp4/aac.m4a -ar 16000 -b:a 16k
tone mp4/video.mp4 "${picture[@]}" -ar 16000 -b:a 16k -c:v mpeg4
tone mp4/alac.m4a -ar 8000 -c:a alac
tone ogg/vorbis.ogg -ar 16000 -c:a libvorbis -b:a 32k
tone ogg/opus.opus -b:a 8k
tone ogg/flac.oga -ar 8000 -c:a flac

# The whole entry: one of each kind, and what only Symphonia reads.
cp wave/{pcm_s16le,adpcm_ms,rf64}.wav wave/wave64.w64 au/pcm_s16be.au avi/*.avi mpeg/* mp4/* ogg/* audio/
tone audio/flac.flac -ar 8000 -c:a flac
tone audio/fragmented.mp4 -ar 16000 -b:a 16k -movflags frag_keyframe+empty_moov+default_base_moof
tone audio/aiff.aiff -ar 8000
tone audio/sowt.aifc -f aiff -ar 8000 -c:a pcm_s16le
tone audio/caf.caf -ar 8000 -c:a pcm_s16be
tone audio/alac.caf -ar 8000 -c:a alac
tone audio/adts.aac -ar 16000 -b:a 16k
tone audio/opus.webm -b:a 8k -c:a libopus
tone audio/vorbis.mkv -ar 16000 -c:a libvorbis -b:a 32k
tone audio/aac.mkv -ar 16000 -b:a 16k -c:a aac
tone audio/surround.opus -ac 6 -b:a 32k -mapping_family 1 -c:a libopus

# Opus without its container: OpusHead and packets, each after a byte with its length.
python3 - <<'PYTHON'
import os

def packets(path):
    data, at, packet = open(path, 'rb').read(), 0, b''
    while at < len(data):
        n = data[at + 26]
        lengths, at = data[at + 27 : at + 27 + n], at + 27 + n
        for length in lengths:
            packet, at = packet + data[at : at + length], at + length
            if length < 255:
                yield packet
                packet = b''

os.makedirs('opus', exist_ok=True)
for name in ['ogg/opus', 'audio/surround']:
    head, _tags, *sound = [p for p in packets(name + '.opus') if len(p) < 256]
    with open(f'opus/{os.path.basename(name)}.packets', 'wb') as out:
        for packet in [head, *sound]:
            out.write(bytes([len(packet)]) + packet)

os.makedirs('tokenizer', exist_ok=True)
for first, text in [(0, " Ask not what your country can do for you."), (1, " größer als 日本語, 👍!?"), (2, "唔該 <|notaspecial|>\0\x1b")]:
    open(f'tokenizer/{first}.text', 'wb').write(bytes([first]) + text.encode())
PYTHON
