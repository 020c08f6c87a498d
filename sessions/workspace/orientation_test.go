package workspace

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"testing"
)

// withOrientation is a JPEG of m whose metadata says how the camera was held.
func withOrientation(t *testing.T, m image.Image, how uint16, order binary.ByteOrder) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	tiff := make([]byte, 26)
	copy(tiff, "II*\x00")
	if order == binary.BigEndian {
		copy(tiff, "MM\x00*")
	}
	order.PutUint32(tiff[4:], 8)
	order.PutUint16(tiff[8:], 1)
	order.PutUint16(tiff[10:], 0x0112)
	order.PutUint16(tiff[12:], 3)
	order.PutUint32(tiff[14:], 1)
	order.PutUint16(tiff[18:], how)
	segment := append([]byte("Exif\x00\x00"), tiff...)
	head := []byte{0xff, 0xd8, 0xff, 0xe1, 0, 0}
	binary.BigEndian.PutUint16(head[4:], uint16(len(segment)+2))
	return append(append(head, segment...), b.Bytes()[2:]...)
}

// A bright corner tells where it ends up.
func TestPicturesAreTurnedAsTheCameraMeant(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 64, 32))
	for y := range 8 {
		for x := range 8 {
			m.SetGray(x, y, color.Gray{255}) // top left as stored
		}
	}
	for how, corner := range map[uint16][2]int{1: {0, 0}, 2: {1, 0}, 3: {1, 1}, 4: {0, 1}, 5: {0, 0}, 6: {1, 0}, 7: {1, 1}, 8: {0, 1}} {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			raw := withOrientation(t, m, how, order)
			if got := orientation(raw); got != int(how) {
				t.Fatalf("orientation %d read as %d", how, got)
			}
			stored, err := jpeg.Decode(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			seen := oriented{stored, int(how)}
			size := seen.Bounds().Size()
			if tall := how >= 5; tall != (size.Y > size.X) {
				t.Errorf("orientation %d: size %v", how, size)
			}
			x, y := 2+corner[0]*(size.X-5), 2+corner[1]*(size.Y-5)
			for _, at := range [][2]int{{2, 2}, {size.X - 3, 2}, {2, size.Y - 3}, {size.X - 3, size.Y - 3}} {
				bright := color.GrayModel.Convert(seen.At(at[0], at[1])).(color.Gray).Y > 128
				if want := at == [2]int{x, y}; bright != want {
					t.Errorf("orientation %d at %v: bright %v, want %v", how, at, bright, want)
				}
			}
		}
	}
}

func FuzzOrientation(f *testing.F) {
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x22Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v := orientation(b); v < 1 || v > 8 {
			t.Fatalf("orientation %d", v)
		}
	})
}
