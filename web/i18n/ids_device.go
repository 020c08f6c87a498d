package i18n

// Messages of the device area: what the check of devices and network found, and a
// microphone that was taken away.
const (
	DeviceChecked     ID = "device.checked"
	DeviceControlled  ID = "scope.activity.prescribe_controlled"
	DeviceMicLost     ID = "device.mic_lost"
	DeviceMicRegain   ID = "device.mic_regain"
	DeviceNetworkFair ID = "device.network.fair"
	DeviceNetworkGood ID = "device.network.good"
	DeviceNetworkPoor ID = "device.network.poor"
	DeviceNoPicture   ID = "device.no_picture"
	DeviceNoSound     ID = "device.no_sound"
	DevicePicture     ID = "device.picture"
	DevicePlaceMoved  ID = "device.place.moved"
	DevicePlaceSaid   ID = "device.place.said"
	DevicePlaceSay    ID = "device.place.say"
	DeviceSound       ID = "device.sound"
)
